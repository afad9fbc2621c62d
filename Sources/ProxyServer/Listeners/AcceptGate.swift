import Glibc
package import Logging
package import NIOCore
import Synchronization

/// What is known of accepts that failed, over all listeners: a pure state machine, with its bounds.
struct AcceptEpisode {
    /// How long accepts have to work before the next failure is news again.
    static let calm: Duration = .seconds(10)

    enum News: Equatable {
        case none
        /// The first failure of an episode.
        case began
        /// Nothing has failed for a while.
        case ended(failures: UInt64)
    }

    private var failures: UInt64 = 0
    private var lastFailure: ContinuousClock.Instant?

    /// Whether an episode goes on.
    var isGoingOn: Bool { lastFailure != nil }

    mutating func failed(now: ContinuousClock.Instant) -> News {
        defer { lastFailure = now }
        failures += 1
        return lastFailure == nil ? .began : .none
    }

    mutating func accepted(now: ContinuousClock.Instant) -> News {
        guard let last = lastFailure, last.duration(to: now) >= Self.calm else { return .none }
        defer { self = AcceptEpisode() }
        return .ended(failures: failures)
    }
}

/// Has the listeners rest while the process or the host has no descriptor or memory for another connection.
///
/// Without a rest an event loop would try again and again: the connection that waits keeps the listener readable.
package final class AcceptGate: Sendable {
    private let episode = Mutex(AcceptEpisode())
    private let isTroubled = Atomic<Bool>(false)
    private let failureCount = Atomic<UInt64>(0)
    private let isStopped = Atomic<Bool>(false)
    private let logger: Logger

    /// Makes a gate for any number of listeners.
    package init(logger: Logger) { self.logger = logger }

    /// Accepts that failed, ever.
    package var failures: UInt64 { failureCount.load(ordering: .relaxed) }

    /// Lets no listener begin again that rests: they are about to be closed.
    package func stop() { isStopped.store(true, ordering: .relaxed) }

    /// Whether a listener that has rested may go on.
    var mayGoOn: Bool { !isStopped.load(ordering: .relaxed) }

    func noteFailure(_ error: IOError) {
        failureCount.add(1, ordering: .relaxed)
        isTroubled.store(true, ordering: .relaxed)
        guard episode.withLock({ $0.failed(now: .now) }) == .began else { return }
        logger.error(
            "connections cannot be accepted; they wait until something is free",
            metadata: ["error": "\(String(cString: strerror(error.errnoCode)))", "errno": "\(error.errnoCode)"]
        )
    }

    func noteAccepted() {
        guard isTroubled.load(ordering: .relaxed) else { return }
        let news = episode.withLock { $0.accepted(now: .now) }
        guard case .ended(let failures) = news else { return }
        isTroubled.store(false, ordering: .relaxed)
        logger.notice("connections are accepted again", metadata: ["failures": "\(failures)"])
    }
}

/// The gate in the pipeline of one listener.
package final class AcceptGateHandler: ChannelInboundHandler {
    /// A connection.
    package typealias InboundIn = any Channel
    /// The same.
    package typealias InboundOut = any Channel

    /// How long a listener rests.
    private static let rest: TimeAmount = .milliseconds(100)

    private let gate: AcceptGate
    private var isResting = false
    private var alarm: Scheduled<Void>?

    /// Makes the handler of a listener.
    package init(_ gate: AcceptGate) { self.gate = gate }

    /// Counts, and hands on.
    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        gate.noteAccepted()
        context.fireChannelRead(data)
    }

    /// Keeps a passing shortage from those behind it, who would take it for the end of the listener.
    package func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let error = error as? IOError else { return context.fireErrorCaught(error) }
        switch error.errnoCode {
        case EMFILE, ENFILE, ENOBUFS, ENOMEM:
            gate.noteFailure(error)
            rest(context)
        // The client has gone before it was accepted.
        case ECONNABORTED: break
        default: context.fireErrorCaught(error)
        }
    }

    /// Ends the rest with the listener.
    package func handlerRemoved(context: ChannelHandlerContext) { alarm?.cancel() }

    private func rest(_ context: ChannelHandlerContext) {
        guard !isResting, gate.mayGoOn else { return }
        isResting = true
        // A read that is held back would not do: the listener stays registered until a read has brought something.
        try? context.channel.syncOptions?.setOption(.autoRead, value: false)
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        alarm = context.eventLoop.scheduleTask(in: Self.rest) {
            let (handler, context) = bound.value
            handler.isResting = false
            guard handler.gate.mayGoOn else { return }
            try? context.channel.syncOptions?.setOption(.autoRead, value: true)
        }
    }
}
