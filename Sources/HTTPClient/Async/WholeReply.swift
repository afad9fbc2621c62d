package import NIOCore
package import NIOHTTP1
import Synchronization

/// A whole reply.
package struct WholeReply: Sendable {
    /// Its head.
    package let head: ReceivedHead
    /// Its body.
    package let body: ByteBuffer
    /// Its trailer section, if one came.
    package let trailers: HTTPHeaders?
}

extension OriginClient {
    /// Sends a request and waits for the whole reply.
    ///
    /// A cancellation of the calling task closes the connection, as everything does that ends an exchange early.
    ///
    /// - Parameters:
    ///   - timeout: How long it may take, waiting for a connection and interim replies included; the configuration's
    ///     `requestTimeout` if `nil`.
    ///   - maxReplyBytes: The largest body to take into memory.
    package func send(
        _ request: OutboundRequest,
        timeout: TimeAmount? = nil,
        maxReplyBytes: Int
    ) async -> Result<WholeReply, ExchangeFailure> {
        let gathering = Gathering(maxBytes: maxReplyBytes)
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                gathering.begin(continuation)
                do throws(ExchangeFailure) {
                    try self.start(
                        request,
                        timeout: timeout ?? self.configuration.requestTimeout,
                        delegate: gathering
                    ) { gathering.started($0) }
                } catch {
                    gathering.failed(error)
                }
            }
        } onCancel: {
            gathering.cancel()
        }
    }
}

/// Gathers a reply.
private final class Gathering: ExchangeDelegate, Sendable {
    private struct State {
        var head: ReceivedHead?
        var body = ByteBuffer()
        var continuation: CheckedContinuation<Result<WholeReply, ExchangeFailure>, Never>?
        var exchange: NIOLoopBound<Exchange>?
        var isCancelled = false
    }

    private let maxBytes: Int
    private let state = Mutex(State())

    init(maxBytes: Int) {
        self.maxBytes = maxBytes
    }

    func begin(_ continuation: CheckedContinuation<Result<WholeReply, ExchangeFailure>, Never>) {
        self.state.withLock { $0.continuation = continuation }
    }

    func started(_ exchange: NIOLoopBound<Exchange>) {
        let isCancelled = self.state.withLock { state in
            state.exchange = exchange
            return state.isCancelled
        }
        if isCancelled { exchange.value.cancel() }
    }

    func cancel() {
        let exchange = self.state.withLock { state in
            state.isCancelled = true
            return state.exchange
        }
        exchange?.execute { $0.cancel() }
    }

    func head(_ head: ReceivedHead) {
        self.state.withLock { $0.head = head }
        if case .contentLength(let bytes) = head.framing, bytes > Int64(self.maxBytes) { self.refuse(head.status) }
    }

    func body(_ bytes: ByteBuffer) {
        let (isTooLarge, status) = self.state.withLock { state in
            let isTooLarge = state.body.readableBytes + bytes.readableBytes > self.maxBytes
            if isTooLarge {
                state.body = ByteBuffer()
            } else if state.body.readableBytes == 0 {
                state.body = bytes
            } else {
                state.body.writeImmutableBuffer(bytes)
            }
            return (isTooLarge, state.head?.status)
        }
        if isTooLarge { self.refuse(status) }
    }

    private func refuse(_ status: Int?) {
        let failure = ExchangeFailure(
            .replyTooLarge,
            "the reply is larger than \(self.maxBytes) bytes",
            mayHaveTakenEffect: true,
            status: status
        )
        self.state.withLock { $0.exchange }?.value.fail(failure)
    }

    func ended(trailers: HTTPHeaders?) {
        let (head, body) = self.state.withLock { ($0.head, $0.body) }
        guard let head else { preconditionFailure("a reply ended that had not begun") }
        self.finish(.success(WholeReply(head: head, body: body, trailers: trailers)))
    }

    func failed(_ failure: ExchangeFailure) { self.finish(.failure(failure)) }

    private func finish(_ result: Result<WholeReply, ExchangeFailure>) {
        let continuation = self.state.withLock { state in
            state.exchange = nil
            return state.continuation.take()
        }
        continuation?.resume(returning: result)
    }
}

extension NIOLoopBound where Value == Exchange {
    /// Does something with the exchange on its loop, at once if that is this one.
    func execute(_ body: @escaping @Sendable (Exchange) -> Void) {
        if self.eventLoop.inEventLoop { body(self.value) } else { self.eventLoop.execute { body(self.value) } }
    }
}
