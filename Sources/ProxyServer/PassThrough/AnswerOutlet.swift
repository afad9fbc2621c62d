import NIOCore

/// Where a task's answer reaches the connection: it lives on the event loop, and belongs to one exchange.
final class AnswerOutlet {
    private let connection: ConnectionHandler
    private var exchange: (any Exchange)?
    private var waiting: CheckedContinuation<Void, any Error>?

    init(_ connection: ConnectionHandler, for exchange: any Exchange) {
        self.connection = connection
        self.exchange = exchange
    }

    fileprivate func answer(_ reply: Reply) {
        guard let exchange else { return }
        connection.answer(reply, from: exchange)
    }

    fileprivate func interim(_ answer: InterimAnswer) {
        guard let exchange else { return }
        connection.writeInterim(answer, from: exchange)
    }

    fileprivate func begin(_ head: AnswerHead) {
        guard let exchange else { return }
        connection.beginAnswer(head, from: exchange)
    }

    fileprivate func write(_ bytes: ByteBuffer, _ continuation: CheckedContinuation<Void, any Error>) {
        if let exchange { connection.write(bytes, from: exchange) }
        // The write itself may have found that the client is gone.
        if exchange == nil {
            continuation.resume(throwing: CancellationError())
        } else if connection.isWritable {
            continuation.resume()
        } else {
            waiting = continuation
        }
    }

    fileprivate func end() {
        guard let exchange else { return }
        connection.endAnswer(from: exchange)
    }

    fileprivate func abort() {
        guard let exchange else { return }
        connection.abortAnswer(from: exchange)
    }

    /// The client takes more (`Exchange.resumeAnswer`).
    func resume() { waiting.take()?.resume() }

    /// Nobody listens any more (`Exchange.cancel`).
    func cancel() {
        exchange = nil
        waiting.take()?.resume(throwing: CancellationError())
    }
}

/// Lets a task answer a request: each step runs on the connection's event loop, in the order of the calls.
struct AnswerWriter: Sendable {
    private let eventLoop: any EventLoop
    private let outlet: NIOLoopBound<AnswerOutlet>

    /// To be made on the event loop.
    init(_ outlet: AnswerOutlet, eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
        self.outlet = NIOLoopBound(outlet, eventLoop: eventLoop)
    }

    /// Answers in one piece.
    func answer(_ reply: Reply) { eventLoop.execute { outlet.value.answer(reply) } }

    /// Passes an interim answer on.
    func interim(_ answer: InterimAnswer) { eventLoop.execute { outlet.value.interim(answer) } }

    /// Begins an answer.
    func begin(_ head: AnswerHead) { eventLoop.execute { outlet.value.begin(head) } }

    /// Writes a piece, and returns when the client takes more; throws when it has gone.
    func write(_ bytes: ByteBuffer) async throws {
        try await withCheckedThrowingContinuation { continuation in
            eventLoop.execute { outlet.value.write(bytes, continuation) }
        }
    }

    /// Ends the answer as a whole one.
    func end() { eventLoop.execute { outlet.value.end() } }

    /// Breaks the answer off, so that its client knows.
    func abort() { eventLoop.execute { outlet.value.abort() } }
}
