import Crypto
import Foundation

/// The 32 bytes under which API keys are sealed (P7, design §8).
package struct MasterKey: Sendable, CustomStringConvertible {
    static let byteCount = 32

    let key: SymmetricKey

    /// Takes exactly 32 bytes; nil for any other number.
    package init?(bytes: some Collection<UInt8>) {
        guard bytes.count == Self.byteCount else { return nil }
        key = SymmetricKey(data: Data(bytes))
    }

    package var description: String { "<redacted>" }

    /// Tells one master key from another without telling anything about either; kept beside what it sealed.
    var identifier: [UInt8] {
        Array(derive("identifier").withUnsafeBytes { SHA256.hash(data: $0) }.prefix(16))
    }

    /// A key for one purpose (RFC 5869).
    func derive(_ purpose: String) -> SymmetricKey {
        HKDF<SHA256>.deriveKey(
            inputKeyMaterial: key,
            info: Data("contact-relay v1 \(purpose)".utf8),
            outputByteCount: Self.byteCount
        )
    }

    /// Finds the master key: the systemd credential `master-key` if there is one, else `<state>/master.key`, which is
    /// made at the first start and on disk, directory included, before this returns.
    ///
    /// - Parameters:
    ///   - stateDirectory: The folder of the outbox.
    ///   - credentialsDirectory: `$CREDENTIALS_DIRECTORY`.
    ///   - mayCreate: Whether a new key may be made: only for an outbox that has no sealed keys yet.
    package static func load(
        stateDirectory: String,
        credentialsDirectory: String?,
        mayCreate: Bool
    ) throws(OutboxError) -> MasterKey {
        let filePath = stateDirectory + "/master.key"
        if let key = try find(file: filePath, credential: credentialsDirectory.map { $0 + "/master-key" }) {
            return key
        }
        guard mayCreate else {
            throw OutboxError(
                .masterKey,
                "the outbox in \(stateDirectory) holds sealed API keys, but its master key is missing: "
                    + "put back \(filePath) or the credential master-key"
            )
        }
        return try create(at: filePath, in: stateDirectory)
    }

    /// The key of a file or of a credential; two different ones are an error, as one of them is wrong.
    static func find(file filePath: String, credential credentialPath: String?) throws(OutboxError) -> MasterKey? {
        let stored = try read(filePath)
        guard let credentialPath, let credential = try read(credentialPath) else { return stored }
        guard stored.map({ $0.identifier == credential.identifier }) ?? true else {
            throw OutboxError(
                .masterKey,
                "two different master keys: \(credentialPath) and \(filePath); remove the wrong one"
            )
        }
        return credential
    }

    private static func read(_ path: String) throws(OutboxError) -> MasterKey? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT { return nil }
            throw OutboxError(
                .masterKey,
                "cannot read \(path): \(OutboxError.text(ofErrno: errno))",
                errorNumber: errno
            )
        }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: byteCount + 1)
        let count = Glibc.read(descriptor, &bytes, bytes.count)
        guard count == byteCount, let key = MasterKey(bytes: bytes.prefix(count)) else {
            throw OutboxError(.masterKey, "\(path) must hold exactly \(byteCount) bytes")
        }
        return key
    }

    private static func create(at path: String, in directory: String) throws(OutboxError) -> MasterKey {
        let made = SymmetricKey(size: .bits256)
        let bytes = made.withUnsafeBytes { Array($0) }
        let result = bytes.withUnsafeBytes { bytes in
            Result { () throws(OutboxError) in
                try DurableFile.create(at: path, in: directory, bytes) { OutboxError(.masterKey, $0, errorNumber: $1) }
            }
        }
        try result.get()
        guard let key = try read(path) else {
            throw OutboxError(.masterKey, "\(path) is gone again right after it was made")
        }
        return key
    }
}
