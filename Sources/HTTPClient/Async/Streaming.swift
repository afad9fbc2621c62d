import NIOCore
import NIOHTTP1
import Synchronization

/// Stands between an exchange on its event loop and tasks that read its reply and write its request's body.
final class Streaming: ExchangeDelegate, Sendable {
    /// Bytes that may wait here before the connection is not read any more.
    static let maxWaitingBytes = 256 << 10
    /// Bytes that are left when the connection is read again.
    static let resumesAtBytes = 64 << 10
    /// What a piece counts for at least: each keeps the buffer that it was read into.
    private static let minPieceBytes = 1024

    private enum Ending {
        case whole(HTTPHeaders?)
        case failed(ExchangeFailure)
    }

    private struct State {
        var exchange: NIOLoopBound<Exchange>?
        var isCancelled = false
        var ending: Ending?
        // The head.
        var awaitsHead: CheckedContinuation<Result<ReceivedHead, ExchangeFailure>, Never>?
        // The reply's body.
        var pieces = CircularBuffer<ByteBuffer>()
        var waitingBytes = 0
        var isPaused = false
        var reader: CheckedContinuation<ByteBuffer?, any Error>?
        // The request's body.
        var isWritable = false
        var writer: CheckedContinuation<Bool, Never>?
        var pump: Task<Void, Never>?
    }

    private let state = Mutex(State())
    private let onSent: (@Sendable () -> Void)?
    private let onInterim: (@Sendable (ReceivedHead) -> Void)?

    init(sent: (@Sendable () -> Void)?, interim: (@Sendable (ReceivedHead) -> Void)?) {
        self.onSent = sent
        self.onInterim = interim
    }

    func sent() { self.onSent?() }

    var trailers: HTTPHeaders? {
        self.state.withLock { if case .whole(let trailers) = $0.ending { trailers } else { nil } }
    }

    func begin(_ continuation: CheckedContinuation<Result<ReceivedHead, ExchangeFailure>, Never>) {
        self.state.withLock { $0.awaitsHead = continuation }
    }

    func started(_ exchange: NIOLoopBound<Exchange>) {
        let isCancelled = self.state.withLock { state in
            state.exchange = exchange
            return state.isCancelled
        }
        if isCancelled { exchange.value.cancel() }
    }

    /// Gives the exchange up, unless it is over.
    func cancel() {
        let exchange = self.state.withLock { state in
            state.isCancelled = true
            return state.ending == nil ? state.exchange : nil
        }
        exchange?.execute { $0.cancel() }
    }

    // MARK: - The reply

    func interim(_ head: ReceivedHead) { self.onInterim?(head) }

    func head(_ head: ReceivedHead) {
        self.state.withLock { $0.awaitsHead.take() }?.resume(returning: .success(head))
    }

    func body(_ bytes: ByteBuffer) {
        let (reader, exchange) = self.state.withLock {
            state -> (CheckedContinuation<ByteBuffer?, any Error>?, NIOLoopBound<Exchange>?) in
            if let reader = state.reader.take() { return (reader, nil) }
            state.pieces.append(bytes)
            state.waitingBytes += max(bytes.readableBytes, Self.minPieceBytes)
            guard state.waitingBytes >= Self.maxWaitingBytes, !state.isPaused else { return (nil, nil) }
            state.isPaused = true
            return (nil, state.exchange)
        }
        reader?.resume(returning: bytes)
        exchange?.value.pauseReading()
    }

    func ended(trailers: HTTPHeaders?) { self.end(.whole(trailers)) }

    func failed(_ failure: ExchangeFailure) { self.end(.failed(failure)) }

    private func end(_ ending: Ending) {
        let (head, reader, writer, pump) = self.state.withLock { state in
            state.ending = ending
            state.exchange = nil
            state.isWritable = false
            return (state.awaitsHead.take(), state.reader.take(), state.writer.take(), state.pump.take())
        }
        pump?.cancel()
        writer?.resume(returning: false)
        switch ending {
        case .whole: reader?.resume(returning: nil)
        case .failed(let failure):
            head?.resume(returning: .failure(failure))
            reader?.resume(throwing: failure)
        }
    }

    /// The next piece of the reply's body.
    func next() async throws -> ByteBuffer? {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                enum Outcome { case waits, piece(ByteBuffer), ended(Ending) }
                let (outcome, exchange) = self.state.withLock { state -> (Outcome, NIOLoopBound<Exchange>?) in
                    if let piece = state.pieces.popFirst() {
                        state.waitingBytes -= max(piece.readableBytes, Self.minPieceBytes)
                        guard state.isPaused, state.waitingBytes <= Self.resumesAtBytes else {
                            return (.piece(piece), nil)
                        }
                        state.isPaused = false
                        return (.piece(piece), state.exchange)
                    }
                    if let ending = state.ending { return (.ended(ending), nil) }
                    state.reader = continuation
                    return (.waits, nil)
                }
                exchange?.execute { $0.resumeReading() }
                switch outcome {
                case .waits: break
                case .piece(let piece): continuation.resume(returning: piece)
                case .ended(.whole): continuation.resume(returning: nil)
                case .ended(.failed(let failure)): continuation.resume(throwing: failure)
                }
            }
        } onCancel: {
            self.cancel()
        }
    }

    // MARK: - The request's body

    func writable() {
        self.state.withLock { state in
            state.isWritable = true
            return state.writer.take()
        }?.resume(returning: true)
    }

    /// Sends the pieces of a body as fast as the connection takes them.
    func pump(_ body: some AsyncSequence<ByteBuffer, any Error> & Sendable) {
        let task = Task {
            // Nothing is asked of the body's sender before there is a connection.
            guard await self.waitUntilWritable() else { return }
            do {
                for try await piece in body {
                    guard await self.waitUntilWritable() else { return }
                    self.send { $0.write(piece) }
                }
                self.send { $0.finishBody() }
            } catch {
                self.send { $0.cancel("the request's body ended early") }
            }
        }
        let isOver = self.state.withLock { state in
            if state.ending == nil { state.pump = task }
            return state.ending != nil
        }
        if isOver { task.cancel() }
    }

    private func send(_ body: @escaping @Sendable (Exchange) -> Void) {
        // Only the loop can tell, once it has seen this piece, whether it takes another.
        let exchange = self.state.withLock { state in
            state.isWritable = false
            return state.exchange
        }
        guard let exchange else { return }
        exchange.execute { exchange in
            body(exchange)
            if exchange.isWritable { self.writable() }
        }
    }

    /// Waits until the connection takes bytes; false when the exchange is over.
    private func waitUntilWritable() async -> Bool {
        await withCheckedContinuation { continuation in
            let outcome = self.state.withLock { state -> Bool? in
                if state.ending != nil { return false }
                if state.isWritable { return true }
                state.writer = continuation
                return nil
            }
            if let outcome { continuation.resume(returning: outcome) }
        }
    }
}
