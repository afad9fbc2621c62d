import NIOCore

/// Answers the requests of connections; called on their event loops.
protocol HTTPResponder: Sendable {
    /// A body longer than this is thrown away and the request marked.
    var bodyLimitBytes: Int { get }
    /// Whether nothing at all is to be sent, not even `100 Continue`.
    var isSilent: Bool { get }

    func respond(to request: SimulatorRequest, on eventLoop: any EventLoop) -> HTTPAnswer
    /// The delivery was not begun: its connection is gone.
    func withdraw(_ delivery: Delivery)
    func connectionOpened()
    func connectionClosed()
}

/// A delivery, now or after some work elsewhere.
enum HTTPAnswer {
    case now(Delivery)
    case later(EventLoopFuture<Delivery>)
}
