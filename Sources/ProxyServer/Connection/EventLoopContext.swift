import DexatelAPI
import NIOCore
import Outbox
import Synchronization
import Upstream

/// What the connections of one event loop share: the second's date, the connections themselves, and the way back for
/// the outbox's answers.
///
/// It is bound to its loop: everything but `sink` and `eventLoop` is used there only.
final class EventLoopContext {
    let eventLoop: any EventLoop
    let sink: LoopAnswerSink
    private(set) var connections: [ObjectIdentifier: ConnectionHandler] = [:]
    /// The keys that clients showed lately.
    var keyMemo = KeyMemo()
    /// What was answered on this loop.
    var requestCounts = RequestCounts()
    /// Seconds since the loop was set up; idle connections are found by it without a timer for each.
    private(set) var ticks = 0
    /// The value of `Date` fields, made anew once a second.
    private(set) var date: String
    private var ticker: RepeatedTask?
    /// Connections that have written something which is to be sent at the end of this turn of the loop.
    private let unsent: TurnBatch<ConnectionHandler>
    private let wallSeconds: @Sendable () -> Int64

    init(eventLoop: any EventLoop, wallSeconds: @escaping @Sendable () -> Int64) {
        self.eventLoop = eventLoop
        self.wallSeconds = wallSeconds
        date = HTTPDate.format(wallSeconds())
        sink = LoopAnswerSink(eventLoop: eventLoop)
        unsent = TurnBatch(eventLoop)
    }

    func start() {
        eventLoop.assertInEventLoop()
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        ticker = eventLoop.scheduleRepeatedTask(initialDelay: .seconds(1), delay: .seconds(1)) { _ in
            bound.value.tick()
        }
    }

    func stop() {
        ticker?.cancel()
        ticker = nil
    }

    func tick() {
        ticks += 1
        date = HTTPDate.format(wallSeconds())
        for connection in Array(connections.values) { connection.checkTimeouts(ticks) }
    }

    /// Has what a connection has written sent at the end of this turn of the loop, together with what it still writes in it.
    func sendSoon(_ connection: ConnectionHandler) {
        unsent.add(connection) { for connection in $0 { connection.flushIfNeeded() } }
    }

    func add(_ connection: ConnectionHandler) { connections[ObjectIdentifier(connection)] = connection }

    func remove(_ connection: ConnectionHandler) { connections[ObjectIdentifier(connection)] = nil }
}

/// Brings the outbox's answers to the exchanges of one event loop: one hop for a whole batch (design §3.1).
final class LoopAnswerSink: WriteAnswerSink {
    private let eventLoop: any EventLoop
    private let waiting: NIOLoopBoundBox<Waiting>
    /// Writes of the requests that this turn of the loop has read.
    private let gathered: TurnBatch<NewWrite>

    private struct Waiting {
        var exchanges: [UInt64: ContactWriteExchange] = [:]
        var nextToken: UInt64 = 0
    }

    init(eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
        waiting = NIOLoopBoundBox(Waiting(), eventLoop: eventLoop)
        gathered = TurnBatch(eventLoop)
    }

    /// Remembers an exchange until its answer comes; on the event loop only.
    func register(_ exchange: ContactWriteExchange) -> UInt64 {
        let token = waiting.value.nextToken
        waiting.value.nextToken += 1
        waiting.value.exchanges[token] = exchange
        return token
    }

    /// Forgets an exchange that gets no answer after all; on the event loop only.
    func forget(_ token: UInt64) { waiting.value.exchanges[token] = nil }

    /// Submits an admitted write together with the others of this turn of the loop; on the event loop only.
    ///
    /// One by one, the first of them would be committed alone while the others wait for its fsync.
    func submit(_ write: NewWrite, to outbox: Outbox) {
        gathered.add(write) { outbox.submitAdmitted($0) }
    }

    func take(_ answers: [(token: UInt64, answer: WriteAnswer)]) {
        eventLoop.execute {
            for (token, answer) in answers {
                self.waiting.value.exchanges.removeValue(forKey: token)?.take(answer)
            }
        }
    }
}
