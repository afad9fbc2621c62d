package import HTTPClient
package import NIOCore

/// A way to the upstream from one event loop: what is sent over it begins and ends there, and crosses no thread.
package struct UpstreamLine: Sendable {
    /// What requests are sent with.
    package let configuration: UpstreamConfiguration
    /// The event loop.
    package let eventLoop: any EventLoop
    private let origin: OriginClient

    /// - Parameter eventLoop: One that has a pool of the origin.
    init(_ configuration: UpstreamConfiguration, _ origin: OriginClient, _ eventLoop: any EventLoop) {
        self.configuration = configuration
        self.origin = origin
        self.eventLoop = eventLoop
    }

    /// Sends a request from the line's event loop.
    ///
    /// `request_timeout` bounds how long it may stand still.
    ///
    /// - Parameters:
    ///   - body: A body that comes in pieces; the request's own if `nil`.
    ///   - delegate: Takes what becomes of it; it may be called before this returns.
    ///   - made: Takes the exchange before anything else happens to it.
    /// - Throws: What cannot be sent.
    @discardableResult
    package func begin(
        _ request: UpstreamRequest,
        body: OutboundRequest.Body? = nil,
        delegate: any ExchangeDelegate,
        made: (HTTPClient.Exchange) -> Void = { _ in }
    ) throws(UpstreamFailure) -> HTTPClient.Exchange {
        let body = body ?? request.body.map { OutboundRequest.Body.whole($0) } ?? .none
        let prepared = try UpstreamClient.prepare(request, body, for: configuration.url)
        do throws(ExchangeFailure) {
            return try origin.begin(prepared, timeout: nil, delegate: delegate, on: eventLoop, made: made)
        } catch {
            throw UpstreamFailure(error)
        }
    }

    /// Sends a request and hands over the whole reply, from the line's event loop.
    ///
    /// `request_timeout` bounds how long it may take, waiting for a connection and interim replies included. A timeout
    /// closes the connection, so that the upstream sees the end of an attempt before it sees the next one (P3).
    ///
    /// - Parameter ended: Takes the outcome, once; it may be called before this returns.
    package func send(
        _ request: UpstreamRequest,
        ended: @escaping (Result<UpstreamReply, UpstreamFailure>) -> Void
    ) {
        let prepared: OutboundRequest
        do throws(UpstreamFailure) {
            let body = request.body.map { OutboundRequest.Body.whole($0) } ?? .none
            prepared = try UpstreamClient.prepare(request, body, for: configuration.url)
        } catch {
            return ended(.failure(error))
        }
        origin.send(prepared, maxReplyBytes: configuration.maxReplyBytes, on: eventLoop) { result in
            ended(result.map(UpstreamReply.init).mapError(UpstreamFailure.init))
        }
    }
}

extension UpstreamClient {
    /// The way to the upstream from an event loop, or from the one that serves it best.
    package func line(nearest eventLoop: any EventLoop) -> UpstreamLine {
        let (configuration, origin) = current
        return UpstreamLine(configuration, origin, origin.eventLoop(nearest: eventLoop))
    }

    /// Has requests begun that come together: `body` is called on each event loop that takes a part of them, and those
    /// that go out on one loop cost it one wake-up.
    ///
    /// - Parameters:
    ///   - count: How many requests there are.
    ///   - body: Takes the loop's way to the upstream, and which of the requests it is to begin.
    package func divide(_ count: Int, _ body: @escaping @Sendable (UpstreamLine, Range<Int>) -> Void) {
        let (configuration, origin) = current
        var first = 0
        for (eventLoop, count) in origin.divide(count) {
            let part = first..<first + count
            first += count
            let line = UpstreamLine(configuration, origin, eventLoop)
            eventLoop.execute { body(line, part) }
        }
    }
}
