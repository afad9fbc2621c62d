import NIOCore
import NIOSSL

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// Why TLS does not come about, in an operator's words; without paths of the build, which BoringSSL's own words have.
struct TLSFault: Error, Hashable {
    let reason: String

    init(_ reason: String) {
        self.reason = reason
    }

    /// Names what NIOSSL reported, where that says enough; `nil` for errors of other kinds.
    init?(_ error: any Error) {
        switch error {
        case let fault as TLSFault: self = fault
        case let error as NIOSSLExtraError where error == .failedToValidateHostname:
            self.init("its certificate is issued for another name")
        case is NIOSSLExtraError: self.init("its name cannot be compared with a certificate")
        case NIOSSLError.handshakeFailed(.sslError(let stack)), NIOSSLError.handshakeFailed(.unknownError(let stack)):
            self.init(Self.words(of: stack.first.map { "\($0)" } ?? ""))
        case NIOSSLError.unableToValidateCertificate, NIOSSLError.noCertificateToValidate:
            self.init("its certificate is not trusted")
        case NIOSSLError.uncleanShutdown: self.init("it closed the connection during the handshake")
        case is NIOSSLError: self.init("it broke the handshake off")
        default: return nil
        }
    }

    /// Whether a look at the peer's certificate can say more.
    static func concernsCertificate(_ error: any Error) -> Bool {
        switch error {
        case let error as NIOSSLExtraError: error == .failedToValidateHostname
        case NIOSSLError.handshakeFailed(.sslError(let stack)):
            stack.contains { "\($0)".contains("CERTIFICATE_VERIFY_FAILED") }
        case NIOSSLError.unableToValidateCertificate: true
        default: false
        }
    }

    /// `error:1000007d:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED at …/handshake.cc:298`.
    private static func words(of text: String) -> String {
        for (code, words) in [
            ("CERTIFICATE_VERIFY_FAILED", "its certificate is not trusted"),
            ("UNSUPPORTED_PROTOCOL", "it offers neither TLS 1.2 nor 1.3"),
            ("PROTOCOL_VERSION", "it offers neither TLS 1.2 nor 1.3"),
            ("WRONG_VERSION_NUMBER", "it does not speak TLS"),
            ("HTTP_REQUEST", "it does not speak TLS"),
            ("EOF during handshake", "it closed the connection during the handshake"),
            ("ALERT_HANDSHAKE_FAILURE", "it refused the handshake"),
            ("CERTIFICATE_REQUIRED", "it wants a certificate of the client"),
        ] where text.contains(code) {
            return words
        }
        let end = text.firstRange(of: " at ")?.lowerBound ?? text.endIndex
        let code = text[..<end].split(separator: ":").last.map { String($0) } ?? ""
        let isName =
            !code.isEmpty
            && code.utf8.allSatisfy { (0x41...0x5A).contains($0) || $0 == 0x5F || (0x30...0x39).contains($0) }
        return isName ? code.lowercased().replacing("_", with: " ") : "the handshake broke off"
    }
}

/// What a peer's certificates say of themselves.
struct PeerCertificates: Sendable, Hashable {
    private let notBefore: Int
    private let notAfter: Int
    /// The earliest end in the rest of the chain.
    private let chainNotAfter: Int?
    private let names: [String]

    /// Looks at a chain, the peer's own certificate first.
    init?(_ chain: [NIOSSLCertificate]) {
        guard let own = chain.first else { return nil }
        self.notBefore = Int(own.notValidBefore)
        self.notAfter = Int(own.notValidAfter)
        self.chainNotAfter = chain.dropFirst().map { Int($0.notValidAfter) }.min()
        self.names = own._subjectAlternativeNames().compactMap { name in
            switch name.nameType {
            case .dnsName: Self.printable(name.contents)
            case .ipAddress: Self.address(Array(name.contents))
            default: nil
            }
        }
    }

    /// A name, as it will stand in a log: at most 64 printable characters.
    private static func printable(_ contents: some Sequence<UInt8>) -> String {
        String(decoding: contents.prefix(64).filter { (0x21...0x7E).contains($0) }, as: UTF8.self)
    }

    private static func address(_ octets: [UInt8]) -> String? {
        (try? SocketAddress(packedIPAddress: ByteBuffer(bytes: octets), port: 0))?.ipAddress
    }

    /// What is wrong with them.
    func fault(isForOtherName: Bool, nowSeconds: Int) -> TLSFault {
        if nowSeconds > self.notAfter { return TLSFault("its certificate expired on \(Self.day(self.notAfter))") }
        if nowSeconds < self.notBefore {
            return TLSFault("its certificate is valid only from \(Self.day(self.notBefore)) on")
        }
        if isForOtherName {
            let names = self.names.prefix(5).joined(separator: ", ")
            return TLSFault(names.isEmpty ? "its certificate names no host" : "its certificate is issued for \(names)")
        }
        if let end = self.chainNotAfter, nowSeconds > end {
            return TLSFault("a certificate of its authorities expired on \(Self.day(end))")
        }
        return TLSFault("its certificate is from an unknown authority")
    }

    /// A day in the form of RFC 3339.
    private static func day(_ seconds: Int) -> String {
        var time = time_t(seconds)
        var parts = tm()
        guard gmtime_r(&time, &parts) != nil else { return "an unknown day" }
        func padded(_ number: Int32, _ digits: Int) -> String {
            let text = "\(number)"
            return String(repeating: "0", count: max(0, digits - text.count)) + text
        }
        return "\(padded(parts.tm_year + 1900, 4))-\(padded(parts.tm_mon + 1, 2))-\(padded(parts.tm_mday, 2))"
    }
}
