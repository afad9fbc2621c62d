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
    /// Sends a request from the event loop that has one of the pools, and hands the whole reply over there.
    ///
    /// - Parameters:
    ///   - timeout: How long it may take, waiting for a connection and interim replies included; the configuration's
    ///     `requestTimeout` if `nil`.
    ///   - maxReplyBytes: The largest body to take into memory.
    ///   - eventLoop: The loop that this is called on.
    ///   - ended: Takes the outcome, once; it may be called before this returns.
    /// - Returns: The exchange; `nil` if it is over already.
    @discardableResult
    package func send(
        _ request: OutboundRequest,
        timeout: TimeAmount? = nil,
        maxReplyBytes: Int,
        on eventLoop: any EventLoop,
        ended: @escaping (Result<WholeReply, ExchangeFailure>) -> Void
    ) -> Exchange? {
        let gathering = Gathering(maxBytes: maxReplyBytes, ended)
        do throws(ExchangeFailure) {
            let exchange = try self.begin(
                request,
                timeout: timeout ?? self.configuration.requestTimeout,
                delegate: gathering,
                on: eventLoop
            )
            guard !exchange.isOver else { return nil }
            gathering.exchange = exchange
            return exchange
        } catch {
            gathering.failed(error)
            return nil
        }
    }

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
        let cancellation = Cancellation()
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let eventLoop = self.leastLoadedLoop
                eventLoop.execute {
                    let exchange = self.send(
                        request,
                        timeout: timeout,
                        maxReplyBytes: maxReplyBytes,
                        on: eventLoop
                    ) { continuation.resume(returning: $0) }
                    if let exchange { cancellation.began(NIOLoopBound(exchange, eventLoop: eventLoop)) }
                }
            }
        } onCancel: {
            cancellation.cancel()
        }
    }
}

/// Gathers a reply, on the event loop of its exchange.
private final class Gathering: ExchangeDelegate {
    private let maxBytes: Int
    private var result: ((Result<WholeReply, ExchangeFailure>) -> Void)?
    private var head: ReceivedHead?
    private var bytes = ByteBuffer()
    /// The exchange, until it is over.
    var exchange: Exchange?

    init(maxBytes: Int, _ result: @escaping (Result<WholeReply, ExchangeFailure>) -> Void) {
        self.maxBytes = maxBytes
        self.result = result
    }

    func head(_ head: ReceivedHead) {
        self.head = head
        if case .contentLength(let bytes) = head.framing, bytes > Int64(self.maxBytes) { self.refuse() }
    }

    func body(_ bytes: ByteBuffer) {
        guard self.bytes.readableBytes + bytes.readableBytes <= self.maxBytes else { return self.refuse() }
        if self.bytes.readableBytes == 0 { self.bytes = bytes } else { self.bytes.writeImmutableBuffer(bytes) }
    }

    private func refuse() {
        self.bytes = ByteBuffer()
        self.exchange?.fail(
            ExchangeFailure(
                .replyTooLarge,
                "the reply is larger than \(self.maxBytes) bytes",
                mayHaveTakenEffect: true,
                status: self.head?.status
            )
        )
    }

    func ended(trailers: HTTPHeaders?) {
        guard let head else { preconditionFailure("a reply ended that had not begun") }
        self.finish(.success(WholeReply(head: head, body: self.bytes, trailers: trailers)))
    }

    func failed(_ failure: ExchangeFailure) { self.finish(.failure(failure)) }

    private func finish(_ result: Result<WholeReply, ExchangeFailure>) {
        self.exchange = nil
        self.result.take()?(result)
    }
}

/// Lets a task give up an exchange that may not have begun yet.
private final class Cancellation: Sendable {
    private let state = Mutex<(exchange: NIOLoopBound<Exchange>?, isCancelled: Bool)>((nil, false))

    /// Takes the exchange, on its loop.
    func began(_ exchange: NIOLoopBound<Exchange>) {
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
        exchange?.run { $0.cancel() }
    }
}
