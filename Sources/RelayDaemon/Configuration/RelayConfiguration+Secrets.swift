import DexatelAPI
private import Glibc

/// The secrets that stand in files of their own.
extension RelayConfiguration {
    /// The systemd credential with the API key that the relay sends.
    private static let apiKeyCredential = "dexatel-api-key"
    /// The systemd credential with the token that clients show.
    private static let tokenCredential = "listen-token"
    /// The systemd credential with the proxy's user and password.
    private static let proxyCredential = "upstream-proxy"
    private static let maxSecretBytes = APIKeySyntax.maxBytes
    /// Shorter ones could be guessed over loopback.
    private static let minTokenBytes = 16

    /// Points the settings that nobody has given at the credentials that there are.
    mutating func deriveSecretFiles(_ environment: [String: String], _ sources: ConfigurationSources) {
        guard let directory = environment["CREDENTIALS_DIRECTORY"] else { return }
        let credential = { (name: String) in
            let path = directory + "/" + name
            return access(path, F_OK) == 0 ? path : nil
        }
        if sources.origin(of: "upstream.api_key_file") == nil {
            upstream.apiKeyFile = credential(Self.apiKeyCredential)
        }
        if sources.origin(of: "upstream.proxy_credentials_file") == nil {
            upstream.proxyCredentialsFile = credential(Self.proxyCredential)
        }
        if sources.origin(of: "listen.token_file") == nil { listen.tokenFile = credential(Self.tokenCredential) }
    }

    /// Reads the secrets, and says what is wrong with their files, without a word of what they hold.
    mutating func readSecrets(_ sources: ConfigurationSources) -> [ConfigurationError.Problem] {
        var problems: [ConfigurationError.Problem] = []
        let take = { (key: String, path: String?, check: ([UInt8]) -> String?) -> Secret? in
            guard let path else { return nil }
            let origin = sources.origin(of: key) ?? .defaults
            do throws(SecretFault) {
                return try Self.secret(of: path, check)
            } catch {
                problems.append(.init(origin: origin, key: key, message: "\(path) \(error.reason)"))
                return nil
            }
        }
        upstream.apiKey = take("upstream.api_key_file", upstream.apiKeyFile) { bytes in
            APIKeySyntax.admits(bytes) ? nil : "must hold an API key in one line of printable ASCII"
        }
        if upstream.proxyCredentialsFile != nil {
            upstream.proxyCredentials = take("upstream.proxy_credentials_file", upstream.proxyCredentialsFile) {
                bytes in
                let isText = bytes.allSatisfy { (0x20...0x7E).contains($0) }
                return isText && bytes.contains(UInt8(ascii: ":"))
                    ? nil : "must hold a user and a password in one line, with a colon between"
            }
        }
        listen.token = take("listen.token_file", listen.tokenFile) { bytes in
            // What a Bearer token may consist of (RFC 6750 §2.1).
            let isToken = bytes.allSatisfy { Self.isLetterOrDigit($0) || "-._~+/=".utf8.contains($0) }
            return isToken && bytes.count >= Self.minTokenBytes
                ? nil : "must hold a token of at least \(Self.minTokenBytes) letters, digits and -._~+/="
        }
        return problems
    }

    private struct SecretFault: Error { let reason: String }

    private static func secret(of path: String, _ check: ([UInt8]) -> String?) throws(SecretFault) -> Secret {
        let text: String
        do throws(ConfigurationFile.ReadError) {
            text = try ConfigurationFile.contents(of: path)
        } catch {
            switch error {
            case .missing: throw SecretFault(reason: "is not there")
            case .failed(let reason): throw SecretFault(reason: "cannot be read: \(reason)")
            }
        }
        // Editors and `echo` put a newline behind it.
        var bytes = Array(text.utf8)
        while let last = bytes.last, last == 0x0A || last == 0x0D { bytes.removeLast() }
        guard !bytes.isEmpty else { throw SecretFault(reason: "is empty") }
        guard bytes.count <= maxSecretBytes else {
            throw SecretFault(reason: "holds more than \(maxSecretBytes) bytes")
        }
        if let reason = check(bytes) { throw SecretFault(reason: reason) }
        return Secret(bytes)
    }

    private static func isLetterOrDigit(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: false
        }
    }
}
