import Crypto
package import DexatelAPI
import Foundation

/// A keyed hash of an API key: tells keys apart without telling them (P7).
package struct KeyFingerprint: Hashable, Sendable, CustomStringConvertible {
    static let byteCount = 16

    /// The first half of the keyed hash.
    package let high: UInt64
    /// The second half.
    package let low: UInt64

    init(_ bytes: some Sequence<UInt8>) {
        var value: UInt128 = 0
        for byte in bytes.prefix(Self.byteCount) { value = value << 8 | UInt128(byte) }
        high = UInt64(truncatingIfNeeded: value >> 64)
        low = UInt64(truncatingIfNeeded: value)
    }

    var bytes: [UInt8] {
        [high, low].flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> (56 - 8 * $0)) } }
    }

    /// All of it, in hexadecimal digits.
    package var hexadecimal: String {
        bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
    }

    /// Twelve hexadecimal digits, enough for an operator to tell keys apart.
    package var description: String {
        let hex = String(high >> 16, radix: 16)
        return String(repeating: "0", count: 12 - hex.count) + hex
    }
}

/// Seals API keys under the master key, and fingerprints them (P7, design §8).
package struct KeyVault: Sendable {
    private let fingerprintKey: SymmetricKey
    private let sealingKey: SymmetricKey
    /// Which master key sealed; kept with each row.
    let masterKeyIdentifier: [UInt8]

    /// Opens the vault of this master key, with the fingerprints that follow from it.
    package init(masterKey: MasterKey) {
        self.init(masterKey: masterKey, fingerprintKey: masterKey.derive("fingerprint"))
    }

    /// - Parameter fingerprintKey: Outlives the master key: fingerprints must not change with it, as a key whose seal
    ///   is gone could not be fingerprinted again.
    private init(masterKey: MasterKey, fingerprintKey: SymmetricKey) {
        self.fingerprintKey = fingerprintKey
        sealingKey = masterKey.derive("seal")
        masterKeyIdentifier = masterKey.identifier
    }

    /// The keyed hash of an API key (HMAC-SHA-256, cut to 128 bits).
    package func fingerprint(_ apiKey: Secret) -> KeyFingerprint {
        KeyFingerprint(HMAC<SHA256>.authenticationCode(for: apiKey.bytes, using: fingerprintKey))
    }

    /// A keyed hash of other text of clients, cut to 128 bits.
    func digest(_ parts: [[UInt8]]) -> [UInt8] {
        var hash = HMAC<SHA256>(key: fingerprintKey)
        for part in parts {
            // With the lengths, so that no two lists of parts are the same bytes.
            withUnsafeBytes(of: UInt64(part.count).littleEndian) { hash.update(data: $0) }
            hash.update(data: part)
        }
        return Array(hash.finalize().prefix(KeyFingerprint.byteCount))
    }

    /// Encrypts an API key (AES-256-GCM with a random nonce, bound to its fingerprint).
    func seal(_ apiKey: Secret, fingerprint: KeyFingerprint) throws -> [UInt8] {
        try seal(apiKey.bytes, boundTo: fingerprint.bytes)
    }

    /// Decrypts what `seal` made; throws if it was not sealed by this vault for this fingerprint.
    func open(_ sealed: [UInt8], fingerprint: KeyFingerprint) throws -> Secret {
        Secret(try open(sealed, boundTo: fingerprint.bytes))
    }

    private func seal(_ plain: [UInt8], boundTo context: [UInt8]) throws -> [UInt8] {
        let box = try AES.GCM.seal(plain, using: sealingKey, authenticating: context)
        guard let combined = box.combined else { throw CryptoKitError.incorrectParameterSize }
        return Array(combined)
    }

    private func open(_ sealed: [UInt8], boundTo context: [UInt8]) throws -> [UInt8] {
        let box = try AES.GCM.SealedBox(combined: sealed)
        return Array(try AES.GCM.open(box, using: sealingKey, authenticating: context))
    }

    // MARK: - Rotation

    private static let fingerprintContext = Array("contact-relay fingerprint key".utf8)

    /// The fingerprint key, sealed, as the outbox keeps it.
    func stored() throws -> StoredVault {
        StoredVault(
            sealedFingerprintKey: try seal(
                fingerprintKey.withUnsafeBytes(Array.init),
                boundTo: Self.fingerprintContext
            ),
            masterKeyIdentifier: masterKeyIdentifier
        )
    }

    /// The vault of an outbox: under the present master key, and under the previous one if that is what the outbox was
    /// sealed with, so that it can be sealed anew.
    static func unlock(
        _ secrets: StoredSecrets,
        _ masterKeys: MasterKeys
    ) throws(OutboxError) -> (vault: KeyVault, previous: KeyVault?) {
        let identifier =
            secrets.vault?.masterKeyIdentifier ?? secrets.keys.first { $0.sealed != nil }?.masterKeyIdentifier
        guard let identifier else { return (KeyVault(masterKey: masterKeys.current), nil) }
        guard
            let master = [masterKeys.current, masterKeys.previous].compactMap({ $0 })
                .first(where: { $0.identifier == identifier })
        else { throw wrongMasterKey }
        var fingerprintKey = master.derive("fingerprint")
        if let stored = secrets.vault {
            let vault = KeyVault(masterKey: master)
            guard let bytes = try? vault.open(stored.sealedFingerprintKey, boundTo: fingerprintContext) else {
                throw wrongMasterKey
            }
            fingerprintKey = SymmetricKey(data: bytes)
        }
        let vault = KeyVault(masterKey: masterKeys.current, fingerprintKey: fingerprintKey)
        guard master.identifier != masterKeys.current.identifier else { return (vault, nil) }
        return (vault, KeyVault(masterKey: master, fingerprintKey: fingerprintKey))
    }

    static var wrongMasterKey: OutboxError {
        OutboxError(
            .masterKey,
            "the API keys in the outbox were sealed under another master key; nothing was changed: put the right master "
                + "key back, or give it as master-key.previous beside the new one"
        )
    }
}

/// The key of the fingerprints, sealed, as the outbox keeps it.
struct StoredVault: Sendable {
    var sealedFingerprintKey: [UInt8]
    var masterKeyIdentifier: [UInt8]
}

/// What is sealed in an outbox that has not been opened yet.
struct StoredSecrets: Sendable {
    var keys: [StoredKey] = []
    var vault: StoredVault?

    /// Whether a new master key would lose nothing.
    var isEmpty: Bool { vault == nil && keys.isEmpty }
}
