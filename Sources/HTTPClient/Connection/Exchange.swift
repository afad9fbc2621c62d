package import NIOCore

/// One request and its reply, on one event loop, to which it is confined.
package final class Exchange {
    /// How long it may take.
    enum Patience {
        /// So long in all, interim replies and waiting for a connection included.
        case whole(until: NIODeadline)
        /// So long without a move: of the request's body while that is sent, to the final head, and of the reply's body
        /// while that is read. A reader's pause does not count.
        case standstill(TimeAmount)
    }

    private enum Stage {
        case waiting
        case running(ClientConnection)
        case over
    }

    let request: RenderedRequest
    let delegate: any ExchangeDelegate
    private let patience: Patience
    private let began: NIODeadline
    private let pool: LoopPool
    private var stage = Stage.waiting
    /// When its time is to be looked at next.
    private(set) var alarm: NIODeadline?
    /// Since when nothing has moved; `nil` while nothing needs to.
    private var standsStillSince: NIODeadline?
    private var hasHead = false
    private var isPaused = false
    /// Bytes of a counted body that are still to come.
    private var missingBodyBytes: Int64
    /// Whether it goes on a second connection after a stale one.
    private(set) var isRetry = false

    init(_ request: RenderedRequest, _ delegate: any ExchangeDelegate, _ patience: Patience, _ pool: LoopPool) {
        self.request = request
        self.delegate = delegate
        self.patience = patience
        self.pool = pool
        self.began = pool.now
        if case .counted(let bytes) = request.streaming {
            self.missingBodyBytes = bytes
        } else {
            self.missingBodyBytes = 0
        }
    }

    /// Whether its delegate has had the last word.
    package var isOver: Bool { if case .over = self.stage { true } else { false } }

    private var connection: ClientConnection? {
        if case .running(let connection) = self.stage { connection } else { nil }
    }

    // MARK: - The sender's side

    /// Whether pieces of the request's body are taken at present.
    package var isWritable: Bool { self.connection?.isWritable ?? false }

    /// Sends a piece of the request's body, which must have begun (``ExchangeDelegate/writable()``).
    ///
    /// Pieces that exceed the announced length end the exchange.
    package func write(_ piece: ByteBuffer) {
        guard let connection, piece.readableBytes > 0 else { return }
        if case .counted = self.request.streaming {
            self.missingBodyBytes -= Int64(piece.readableBytes)
            guard self.missingBodyBytes >= 0 else {
                return self.cancel("the request's body is longer than announced")
            }
        }
        self.moved()
        connection.write(piece, asChunk: self.request.streaming == .chunked)
    }

    /// Ends the request's body.
    package func finishBody() {
        guard let connection else { return }
        guard self.missingBodyBytes == 0 else {
            return self.cancel("the request's body is shorter than announced")
        }
        self.moved()
        connection.finishBody(asChunks: self.request.streaming == .chunked)
    }

    /// Reads no more of the reply for now; the peer is held back, and time stands still.
    package func pauseReading() {
        guard !self.isPaused else { return }
        self.isPaused = true
        self.connection?.pauseReading()
        if self.hasHead, self.connection?.isSending != true { self.standsStillSince = nil }
    }

    /// Reads on.
    package func resumeReading() {
        guard self.isPaused else { return }
        self.isPaused = false
        self.moved()
        self.connection?.resumeReading()
    }

    /// Gives the exchange up, which closes its connection.
    package func cancel() { self.cancel(nil) }

    /// Gives the exchange up because its request's body cannot be sent.
    package func cancel(_ reason: String?) {
        let mayHaveTakenEffect = self.connection != nil
        self.fail(
            reason.map { ExchangeFailure(.cancelled, $0, mayHaveTakenEffect: mayHaveTakenEffect) }
                ?? .cancelled(mayHaveTakenEffect: mayHaveTakenEffect)
        )
    }

    /// Ends the exchange with a failure, and its connection with it.
    func fail(_ failure: ExchangeFailure) {
        switch self.stage {
        case .over: return
        case .waiting:
            self.end()
            self.pool.withdraw(self)
        case .running(let connection):
            self.end()
            connection.abandon()
            self.pool.exchangeEnded(self, nil)
        }
        self.delegate.failed(failure)
    }

    // MARK: - The pool's side

    /// Starts the timer.
    func start() {
        switch self.patience {
        case .whole(let deadline): self.arm(deadline)
        case .standstill(let limit): self.arm(self.began + limit)
        }
    }

    /// Begins on a connection.
    func run(on connection: ClientConnection) {
        self.stage = .running(connection)
        self.moved()
        connection.run(self)
    }

    /// Ends with a failure; the pool has taken its place back.
    func failedToConnect(_ failure: ExchangeFailure) {
        guard !self.isOver else { return }
        self.end()
        self.delegate.failed(failure)
    }

    /// Goes back to waiting, for a connection that was not used before.
    func waitAgain() {
        self.stage = .waiting
        self.isRetry = true
    }

    // MARK: - The connection's side

    /// Takes the head of the final reply.
    func headArrived(_ head: ReceivedHead) {
        self.hasHead = true
        self.moved()
        self.delegate.head(head)
    }

    /// Takes bytes of the reply's body.
    func bodyArrived(_ bytes: ByteBuffer) {
        self.moved()
        self.delegate.body(bytes)
    }

    /// Takes the news that the request's body is sent, from when on the reply is due.
    func requestSent() {
        if self.hasHead, self.isPaused { self.standsStillSince = nil } else { self.moved() }
    }

    /// Takes the news that the request goes out.
    func sent() { self.delegate.sent() }

    /// Takes the news that the connection takes pieces of the body again.
    func becameWritable() {
        self.moved()
        self.delegate.writable()
    }

    /// Gives the last word, which is up to the caller to say to the delegate, to this exchange.
    func end() {
        self.stage = .over
        if self.alarm.take() != nil { self.pool.disarm(self) }
        self.standsStillSince = nil
    }

    // MARK: - Time

    private func moved() {
        guard case .standstill(let limit) = self.patience, !self.isOver else { return }
        let now = self.pool.now
        self.standsStillSince = self.isPaused && self.hasHead && self.connection?.isSending != true ? nil : now
        if self.alarm == nil, self.standsStillSince != nil { self.arm(now + limit) }
    }

    private func arm(_ deadline: NIODeadline) {
        self.alarm = deadline
        self.pool.arm(self, deadline)
    }

    /// Takes the news that its alarm has gone off.
    func timeIsUp() {
        self.alarm = nil
        switch self.stage {
        case .over: return
        case .waiting: self.fail(self.pool.lateness(of: self))
        case .running(let connection):
            if case .standstill(let limit) = self.patience {
                guard let since = self.standsStillSince else { return }
                guard since + limit <= self.pool.now else { return self.arm(since + limit) }
            }
            let place = self.pool.configuration.place
            let isSenderLate = connection.isSending && connection.isWritable && !self.hasHead
            self.fail(
                ExchangeFailure(
                    .timeout,
                    isSenderLate ? "the request's body did not come in time" : "\(place) did not answer in time",
                    mayHaveTakenEffect: true
                )
            )
        }
    }
}
