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

    /// Opens the vault of this master key.
    package init(masterKey: MasterKey) {
        fingerprintKey = masterKey.derive("fingerprint")
        sealingKey = masterKey.derive("seal")
        masterKeyIdentifier = masterKey.identifier
    }

    /// The keyed hash of an API key (HMAC-SHA-256, cut to 128 bits).
    package func fingerprint(_ apiKey: Secret) -> KeyFingerprint {
        KeyFingerprint(HMAC<SHA256>.authenticationCode(for: apiKey.bytes, using: fingerprintKey))
    }

    /// Encrypts an API key (AES-256-GCM with a random nonce, bound to its fingerprint).
    func seal(_ apiKey: Secret, fingerprint: KeyFingerprint) throws -> [UInt8] {
        let box = try AES.GCM.seal(apiKey.bytes, using: sealingKey, authenticating: fingerprint.bytes)
        guard let combined = box.combined else { throw CryptoKitError.incorrectParameterSize }
        return Array(combined)
    }

    /// Decrypts what `seal` made; throws if it was not sealed by this vault for this fingerprint.
    func open(_ sealed: [UInt8], fingerprint: KeyFingerprint) throws -> Secret {
        let box = try AES.GCM.SealedBox(combined: sealed)
        return Secret(Array(try AES.GCM.open(box, using: sealingKey, authenticating: fingerprint.bytes)))
    }
}
