package import DexatelAPI
package import NIOCore
package import NIOHTTP1

/// A request for the upstream.
package struct UpstreamRequest: Sendable {
    /// The method, any token but `CONNECT`.
    package var method: String
    /// Path and query, sent byte for byte behind the configured base path.
    package var target: String
    /// The fields to send, hop-by-hop fields already taken out (``HeaderHygiene``); `Host`, framing and key are
    /// added.
    package var headers: HTTPHeaders
    /// The key to send as `X-Dexatel-Key`; none of that name in `headers` survives.
    package var apiKey: Secret?
    /// The whole body; a streamed one is passed beside the request.
    package var body: ByteBuffer?

    /// Gathers the parts of a request.
    package init(
        method: String,
        target: String,
        headers: HTTPHeaders = [:],
        apiKey: Secret? = nil,
        body: ByteBuffer? = nil
    ) {
        self.method = method
        self.target = target
        self.headers = headers
        self.apiKey = apiKey
        self.body = body
    }

    /// Whether method and target can be written into a request line without changing where its parts begin and end.
    var isWellFormed: Bool {
        guard !self.method.isEmpty, self.method != "CONNECT", self.method.utf8.allSatisfy(Self.isTokenByte) else {
            return false
        }
        // Printable ASCII without space and fragment: everything else belongs percent-encoded (RFC 9112 §3.2).
        return self.target.utf8.first == UInt8(ascii: "/")
            && self.target.utf8.allSatisfy { (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "#") }
    }

    private static func isTokenByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
    }
}
