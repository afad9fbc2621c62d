package import HTTPClient
package import NIOCore

/// A way to the upstream from one event loop: what is sent over it begins and ends there, and crosses no thread.
package struct UpstreamLine: Sendable {
    /// What requests are sent with.
    package let configuration: UpstreamConfiguration
    /// The event loop.
    package let eventLoop: any EventLoop
    private let origin: OriginClient

    init(_ configuration: UpstreamConfiguration, _ origin: OriginClient, nearest eventLoop: any EventLoop) {
        self.configuration = configuration
        self.origin = origin
        self.eventLoop = origin.eventLoop(nearest: eventLoop)
    }

    /// Sends a request without a streamed body, from the line's event loop.
    ///
    /// `request_timeout` bounds how long it may stand still.
    ///
    /// - Parameter delegate: Takes what becomes of it; it may be called before this returns.
    /// - Throws: What cannot be sent.
    package func begin(
        _ request: UpstreamRequest,
        delegate: any ExchangeDelegate
    ) throws(UpstreamFailure) -> HTTPClient.Exchange {
        let body = request.body.map { OutboundRequest.Body.whole($0) } ?? .none
        let prepared = try UpstreamClient.prepare(request, body, for: configuration.url)
        do throws(ExchangeFailure) {
            return try origin.begin(prepared, timeout: nil, delegate: delegate, on: eventLoop)
        } catch {
            throw UpstreamFailure(error)
        }
    }
}

extension UpstreamClient {
    /// The way to the upstream from an event loop, or from the one that serves it best.
    package func line(nearest eventLoop: any EventLoop) -> UpstreamLine {
        let (configuration, origin) = current
        return UpstreamLine(configuration, origin, nearest: eventLoop)
    }
}
