import NIOCore
import NIOHTTP1
import NIOSSL
import NIOTLS

/// One connection to an origin: executes what ``ExchangeState`` decides.
final class ClientConnection: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// Whether the connection is ready only when TLS stands.
    private let isSecure: Bool
    private let limits: ReplyLimits
    let born: NIODeadline
    /// Takes the news that the connection stands, or what it died of before.
    private var opening: ((Result<ClientConnection, any Error>) -> Void)?
    private let pool: LoopPool
    private var context: ChannelHandlerContext?
    private var state = ExchangeState()
    private var parser: ReplyParser
    /// Bytes that are not enough for the next event.
    private var unread: ByteBuffer?
    private var exchange: Exchange?
    private var isFlushDue = false
    private var isPaused = false
    private var isReadHeldBack = false
    private var cause: (any Error)?
    /// The time that the peer lets a connection rest, as it said last.
    private(set) var peerKeepAlive: TimeAmount?

    init(_ pool: LoopPool, isSecure: Bool, opening: @escaping (Result<ClientConnection, any Error>) -> Void) {
        self.pool = pool
        self.isSecure = isSecure
        self.limits = pool.configuration.limits
        self.parser = ReplyParser(limits: pool.configuration.limits)
        self.opening = opening
        self.born = pool.now
    }

    /// Whether it can carry an exchange.
    var isOpen: Bool { self.state.isIdle && self.context?.channel.isActive == true }

    /// Whether the request's body is still being sent.
    var isSending: Bool { self.state.isSending }

    /// Whether pieces of the request's body are taken at present.
    var isWritable: Bool { self.state.isSending && self.context?.channel.isWritable == true }

    /// Until when it may rest if it begins to now.
    func expiry(from now: NIODeadline) -> NIODeadline {
        let rest = min(self.pool.configuration.keepAlive, self.peerKeepAlive ?? self.pool.configuration.keepAlive)
        return min(now + rest, self.born + self.pool.configuration.maxAge)
    }

    /// Closes the connection.
    func close() { self.context?.close(mode: .all, promise: nil) }

    // MARK: - The exchange's side

    /// Sends a request.
    func run(_ exchange: Exchange) {
        guard let context else { return }
        let request = exchange.request
        let isStreamed = request.streaming != .none
        self.exchange = exchange
        self.state.begin(isStreamed: isStreamed)
        self.parser.begin(isHead: request.isHead)
        exchange.sent()
        context.write(self.wrapOutboundOut(request.bytes), promise: nil)
        if let body = request.body { context.write(self.wrapOutboundOut(body), promise: nil) }
        guard isStreamed else { return context.flush() }
        self.flushSoon()
        if self.exchange === exchange, context.channel.isWritable { exchange.becameWritable() }
    }

    /// Flushes at the end of this turn of the event loop: the first pieces of a body often come with its head.
    private func flushSoon() {
        guard !self.isFlushDue, let context else { return }
        self.isFlushDue = true
        context.eventLoop.assumeIsolated().execute {
            self.isFlushDue = false
            self.context?.flush()
        }
    }

    /// Sends a piece of the request's body.
    func write(_ piece: ByteBuffer, asChunk: Bool) {
        guard let context, self.state.isSending else { return }
        if asChunk {
            var line = context.channel.allocator.buffer(capacity: 20)
            line.writeString(String(piece.readableBytes, radix: 16))
            line.writeStaticString("\r\n")
            context.write(self.wrapOutboundOut(line), promise: nil)
            context.write(self.wrapOutboundOut(piece), promise: nil)
            line = context.channel.allocator.buffer(capacity: 2)
            line.writeStaticString("\r\n")
            context.write(self.wrapOutboundOut(line), promise: nil)
        } else {
            context.write(self.wrapOutboundOut(piece), promise: nil)
        }
        self.flushSoon()
    }

    /// Ends the request's body.
    func finishBody(asChunks: Bool) {
        guard let context, self.state.isSending else { return }
        self.state.requestEnded()
        if asChunks {
            var end = context.channel.allocator.buffer(capacity: 5)
            end.writeStaticString("0\r\n\r\n")
            context.write(self.wrapOutboundOut(end), promise: nil)
            self.flushSoon()
        }
        self.exchange?.requestSent()
    }

    func pauseReading() { self.isPaused = true }

    func resumeReading() {
        self.isPaused = false
        guard self.isReadHeldBack else { return }
        self.isReadHeldBack = false
        self.context?.read()
    }

    /// Ends the connection, as its exchange has ended before its time.
    func abandon() {
        self.exchange = nil
        self.close()
    }

    // MARK: - The channel's side

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        if context.channel.isActive, !self.isSecure { self.opened() }
    }

    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func channelActive(context: ChannelHandlerContext) {
        if !self.isSecure { self.opened() }
        context.fireChannelActive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if self.isSecure, case TLSUserEvent.handshakeCompleted = event { self.opened() }
        context.fireUserInboundEventTriggered(event)
    }

    private func opened() {
        guard let opening = self.opening.take() else { return }
        opening(.success(self))
    }

    func read(context: ChannelHandlerContext) {
        if self.isPaused { self.isReadHeldBack = true } else { context.read() }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable, self.state.isSending { self.exchange?.becameWritable() }
        context.fireChannelWritabilityChanged()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = self.unwrapInboundIn(data)
        guard bytes.readableBytes > 0 else { return }
        guard self.state.bytesArrived() else { return self.close() }
        if var earlier = self.unread.take() {
            earlier.writeBuffer(&bytes)
            bytes = earlier
        }
        do throws(ReplyFault) {
            while let exchange = self.exchange, let event = try self.parser.next(&bytes) {
                self.take(event, exchange, hasMore: bytes.readableBytes > 0)
            }
        } catch {
            return self.fail(error)
        }
        if self.exchange != nil, bytes.readableBytes > 0 { self.unread = bytes }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if self.cause == nil { self.cause = error }
        self.close()
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.inputEnded()
        context.fireChannelInactive()
    }

    private func inputEnded() {
        if let opening = self.opening.take() {
            return opening(.failure(self.cause ?? ChannelError.eof))
        }
        guard let exchange else {
            _ = self.state.closed()
            return self.pool.connectionClosed(self)
        }
        if self.cause == nil, let end = try? self.parser.finish() {
            self.take(end, exchange, hasMore: false)
            return self.pool.connectionClosed(self)
        }
        let place = self.pool.configuration.place
        let reason = self.cause.map { FailureText.reason($0) }
        let failure: ExchangeFailure
        switch self.state.closed() {
        case .brokeBeforeReply(let isReused):
            self.exchange = nil
            self.pool.connectionClosed(self)
            if isReused {
                self.pool.foundStale()
                if self.pool.retries(exchange) { return }
            }
            failure = ExchangeFailure(
                .connectionReset,
                reason.map { "the connection to \(place) broke: \($0)" }
                    ?? "\(place) closed the connection without a reply",
                mayHaveTakenEffect: true,
                isStaleConnection: isReused
            )
        case .brokeWithinReply, .none:
            self.exchange = nil
            self.pool.connectionClosed(self)
            failure = ExchangeFailure(
                .connectionReset,
                reason.map { "the connection to \(place) broke: \($0)" }
                    ?? "\(place) closed the connection within a reply",
                mayHaveTakenEffect: true
            )
        }
        exchange.fail(failure)
    }

    private func take(_ event: ReplyParser.Event, _ exchange: Exchange, hasMore: Bool) {
        switch event {
        case .head(var head):
            switch self.state.headArrived(head) {
            case .deliverInterim:
                if head.status != 100 { exchange.delegate.interim(head) }
            case .deliver:
                if head.status == 304, !exchange.request.isConditional { head.isUnaskedNotModified = true }
                self.peerKeepAlive = head.keepAliveSeconds.map(Self.rest)
                exchange.headArrived(head)
            case .fail(let reason): self.fail(.malformed(reason))
            }
        case .body(let bytes): exchange.bodyArrived(bytes)
        case .end(let trailers):
            self.exchange = nil
            let afterwards = self.state.replyEnded(hasMore: hasMore)
            exchange.end()
            self.isPaused = false
            if afterwards == .close {
                self.close()
                self.pool.exchangeEnded(exchange, nil)
            } else {
                self.resumeReading()
                self.pool.exchangeEnded(exchange, self)
            }
            exchange.delegate.ended(trailers: trailers)
        }
    }

    /// A peer that closes after so many seconds may begin to do so a little earlier than it looks from here.
    private static func rest(_ seconds: Int64) -> TimeAmount {
        let milliseconds = min(seconds, 86_400) * 1000
        return .milliseconds(max(milliseconds / 2, milliseconds - 1000))
    }

    private func fail(_ fault: ReplyFault) {
        let place = self.pool.configuration.place
        self.exchange?.fail(
            ExchangeFailure(
                fault.kind == .truncated ? .connectionReset : .malformedReply,
                "\(place) sent something other than HTTP: \(fault.reason)",
                mayHaveTakenEffect: true
            )
        )
    }
}
