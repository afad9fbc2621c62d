import DexatelAPI
import HTTPClient
package import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// Sends requests to the upstream and brings back whole replies or failures that say what they mean.
///
/// HTTP/1.1 only, although HTTP/2 could be negotiated: an attempt with an unknown outcome has to close its
/// connection (P3), which with HTTP/2 would close everybody else's exchanges or close nothing;
/// `upstream.max_connections` means what it says; and the target goes out byte for byte.
///
/// Redirects are never followed (they would carry the key elsewhere), nothing is decompressed, and there are no cookies.
/// A write is never sent twice, as its callers have their own backoff and the order of a contact's writes to keep; a
/// read is repeated once, on a fresh connection, if the one that it took had been closed by the upstream (RFC 9110
/// §9.2.2).
package final class UpstreamClient: Sendable {
    private struct State {
        var configuration: UpstreamConfiguration
        var origin: OriginClient
        /// Clients of earlier configurations that had requests under way when they were last looked at.
        var retired: [OriginClient] = []
    }

    private let eventLoopGroup: any EventLoopGroup
    private let state: Mutex<State>

    /// What new requests are sent with.
    package var configuration: UpstreamConfiguration { self.state.withLock { $0.configuration } }

    var current: (configuration: UpstreamConfiguration, origin: OriginClient) {
        self.state.withLock { ($0.configuration, $0.origin) }
    }

    /// Makes a client; no connection is made before the first request.
    package init(
        configuration: UpstreamConfiguration,
        eventLoopGroup: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton
    ) {
        self.eventLoopGroup = eventLoopGroup
        let origin = OriginClient(configuration.origin, eventLoopGroup: eventLoopGroup)
        self.state = Mutex(State(configuration: configuration, origin: origin))
    }

    /// Sends new requests with another configuration, to another upstream perhaps; those under way end as they began.
    ///
    /// The old connections go with their last request, so that for a moment there can be twice as many. With TLS that
    /// happens at every reload, as the authorities that the system trusts may have changed.
    package func reload(_ configuration: UpstreamConfiguration) {
        guard configuration.url.isSecure || configuration != self.configuration else { return }
        let next = OriginClient(configuration.origin, eventLoopGroup: self.eventLoopGroup)
        let last = self.state.withLock { state in
            let last = state.origin
            state.configuration = configuration
            state.origin = next
            state.retired.removeAll { $0.exchanges == 0 }
            state.retired.append(last)
            return last
        }
        last.retire()
    }

    /// Sends a request and waits for the whole reply, `request_timeout` at most, waiting for a connection and interim
    /// replies included.
    ///
    /// A timeout or cancellation closes the connection, so that the upstream sees the end of an attempt before it sees
    /// the next one (P3).
    ///
    /// - Parameters:
    ///   - request: The request.
    ///   - maxReplyBytes: The largest body to take into memory, `configuration.maxReplyBytes` if `nil`.
    package func send(
        _ request: UpstreamRequest,
        maxReplyBytes: Int? = nil
    ) async -> Result<UpstreamReply, UpstreamFailure> {
        let (configuration, origin) = self.current
        guard !Task.isCancelled else { return .failure(.cancelledBefore) }
        do throws(UpstreamFailure) {
            let prepared = try Self.prepare(request, request.body.map { .whole($0) } ?? .none, for: configuration.url)
            let result = await origin.send(prepared, maxReplyBytes: maxReplyBytes ?? configuration.maxReplyBytes)
            return result.map(UpstreamReply.init).mapError(UpstreamFailure.init)
        } catch {
            return .failure(error)
        }
    }

    /// Closes all connections; requests in flight end with a failure.
    ///
    /// Shutting down twice does no harm.
    package func shutdown() async {
        for origin in self.state.withLock({ [$0.origin] + $0.retired }) { await origin.shutdown() }
    }

    static func prepare(
        _ request: UpstreamRequest,
        _ body: OutboundRequest.Body,
        for url: UpstreamURL
    ) throws(UpstreamFailure) -> OutboundRequest {
        // Behind a base path any target would look like one.
        guard request.target.utf8.first == UInt8(ascii: "/") else {
            throw UpstreamFailure(.invalidRequest, "the method or target is malformed", mayHaveTakenEffect: false)
        }
        var headers = request.headers
        if headers.contains(name: DexatelHeader.apiKey) { headers.remove(name: DexatelHeader.apiKey) }
        if let apiKey = request.apiKey { headers.add(name: DexatelHeader.apiKey, value: apiKey.exposedText) }
        return OutboundRequest(
            method: request.method,
            target: url.basePath.isEmpty ? request.target : url.basePath + request.target,
            headers: headers,
            body: body,
            traffic: request.traffic
        )
    }
}
