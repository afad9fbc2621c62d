import Foundation
package import HTTPClient
package import NIOCore
package import NIOHTTP1
import Synchronization

/// A well-behaved HTTP client: keep-alive, no redirects, no repetition of anything that is not safe.
package enum TestClient {
    /// A URL or path that no client can be made for.
    package struct Malformed: Error {}

    private static let origins = Mutex<[String: OriginClient]>([:])

    /// Sends a request to `http://host:port/target`, or `http+unix://path/target` with the path's slashes escaped, and
    /// gathers its reply.
    package static func send(
        _ method: String,
        _ url: String,
        headers: HTTPHeaders = [:],
        body: ByteBuffer? = nil,
        timeout: TimeAmount = .seconds(25)
    ) async throws -> WholeReply {
        guard let schemeEnd = url.firstRange(of: "://")?.upperBound else { throw Malformed() }
        let rest = url[schemeEnd...]
        let authority = String(rest.prefix { $0 != "/" })
        let target = String(rest.dropFirst(authority.count))
        let endpoint: OriginConfiguration.Endpoint
        if url.hasPrefix("http+unix://"), let path = authority.removingPercentEncoding {
            endpoint = .unixSocket(path: path)
        } else if let parts = URLComponents(string: url), parts.scheme == "http", let host = parts.host {
            endpoint = .host(host.filter { $0 != "[" && $0 != "]" }, port: parts.port ?? 80)
        } else {
            throw Malformed()
        }
        let isLocal = if case .unixSocket = endpoint { true } else { false }
        return try await self.send(
            method,
            target.isEmpty ? "/" : target,
            to: endpoint,
            authority: isLocal ? "localhost" : authority,
            headers: headers,
            body: body,
            timeout: timeout
        )
    }

    /// Sends a request over a Unix socket.
    package static func send(
        _ method: String,
        _ target: String,
        socket path: String,
        body: ByteBuffer? = nil
    ) async throws -> WholeReply {
        try await self.send(
            method,
            target,
            to: .unixSocket(path: path),
            authority: "localhost",
            headers: [:],
            body: body,
            timeout: .seconds(25)
        )
    }

    private static func send(
        _ method: String,
        _ target: String,
        to endpoint: OriginConfiguration.Endpoint,
        authority: String,
        headers: HTTPHeaders,
        body: ByteBuffer?,
        timeout: TimeAmount
    ) async throws -> WholeReply {
        let origin = self.origins.withLock { origins in
            if let origin = origins["\(endpoint)"] { return origin }
            var configuration = OriginConfiguration(endpoint: endpoint, authority: authority)
            configuration.connectTimeout = .seconds(10)
            configuration.maxConnections = 1024
            configuration.maxWaiting = 100_000
            let origin = OriginClient(configuration)
            origins["\(endpoint)"] = origin
            return origin
        }
        let request = OutboundRequest(
            method: method,
            target: target,
            headers: headers,
            body: body.map { .whole($0) } ?? .none
        )
        return try await origin.send(request, timeout: timeout, maxReplyBytes: 256 << 20).get()
    }
}
