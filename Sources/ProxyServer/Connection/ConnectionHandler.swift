import DequeModule
import NIOCore
import NIOHTTP1

/// Executes what `ConnectionState` decides: takes parsed requests, hands them to exchanges, writes their replies.
final class ConnectionHandler: ChannelDuplexHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private var state = ConnectionState()
    private let server: ServerCore
    private let loop: EventLoopContext
    private var context: ChannelHandlerContext?
    private var exchange: (any Exchange)?
    private var isHead = false
    private var isHTTP10 = false
    private var waitingInput: Deque<HTTPServerRequestPart> = []
    private var readIsHeldBack = false
    private var isReading = false
    private var needsFlush = false
    private var isDraining = false
    private var lastInputTick = 0
    private var hasHadRequest = false
    private var inputHasEnded = false
    private var bufferedBytes = 0

    init(server: ServerCore, loop: EventLoopContext) {
        self.server = server
        self.loop = loop
    }

    // MARK: - Channel events

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        lastInputTick = loop.ticks
        loop.add(self)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        loop.remove(self)
    }

    func channelInactive(context: ChannelHandlerContext) {
        releaseBuffered()
        let ended = exchange
        exchange = nil
        ended?.cancel()
        loop.remove(self)
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        isReading = true
        lastInputTick = loop.ticks
        let part = unwrapInboundIn(data)
        if state.takesInput, waitingInput.isEmpty {
            process(part)
        } else {
            waitingInput.append(part)
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        isReading = false
        flushIfNeeded()
        context.fireChannelReadComplete()
    }

    func read(context: ChannelHandlerContext) {
        // Reading goes on while an answer is awaited, so that the common client costs no change of interest; only a
        // client that has pipelined waits, and what it has sent is bounded by one read.
        if waitingInput.isEmpty { context.read() } else { readIsHeldBack = true }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .some(ChannelEvent.inputClosed) = event as? ChannelEvent {
            inputHasEnded = true
            noteEndOfInput()
        }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let parserError = error as? HTTPParserError else {
            // A reset or the like: there is nobody left to tell.
            context.close(promise: nil)
            return
        }
        guard state.failed() else { return context.close(promise: nil) }
        exchange?.cancel()
        exchange = nil
        isHead = false
        var reply = server.errors.unreadable(parserError)
        reply.mustClose = true
        write(reply)
    }

    // MARK: - Input

    private func process(_ part: HTTPServerRequestPart) {
        switch part {
        case .head(let head): begin(head)
        case .body(let bytes): receive(bytes)
        case .end: end()
        }
    }

    private func begin(_ head: HTTPRequestHead) {
        hasHadRequest = true
        isHead = head.method == .HEAD
        isHTTP10 = head.version.major == 1 && head.version.minor == 0
        state.receivedHead(keepsAlive: head.isKeepAlive)
        server.router.serve(head, on: self)
    }

    private func receive(_ bytes: ByteBuffer) {
        switch state.receivedBody(bytes: bytes.readableBytes) {
        case .deliver: exchange?.receive(bytes)
        case .discard: break
        case .close: context?.close(promise: nil)
        }
    }

    private func end() {
        switch state.receivedEnd() {
        case .deliver: exchange?.end()
        case .next, .ignore: break
        case .close: context?.close(promise: nil)
        }
    }

    /// A client that has sent its last request still gets its answer, and those to what it pipelined before.
    private func noteEndOfInput() {
        guard inputHasEnded, waitingInput.isEmpty else { return }
        if state.inputClosed() { context?.close(promise: nil) }
    }

    private func drainWaitingInput() {
        guard !isDraining else { return }
        isDraining = true
        defer { isDraining = false }
        while state.takesInput, let part = waitingInput.popFirst() { process(part) }
        noteEndOfInput()
        guard waitingInput.isEmpty, readIsHeldBack else { return }
        readIsHeldBack = false
        context?.read()
    }

    // MARK: - Answers

    var eventLoopContext: EventLoopContext { loop }

    /// Lets an exchange serve the request whose head has just come.
    func serve(with exchange: any Exchange) { self.exchange = exchange }

    /// Tells the client to send its body (RFC 9110 §10.1.1).
    func writeContinue() {
        guard let context else { return }
        var buffer = context.channel.allocator.buffer(capacity: 32)
        buffer.writeStaticString("HTTP/1.1 100 Continue\r\n\r\n")
        context.writeAndFlush(wrapOutboundOut(buffer), promise: nil)
    }

    /// Answers the request that is being served.
    ///
    /// - Parameter exchange: Who answers; an exchange that is not being served any more is not heard.
    func answer(_ reply: Reply, from exchange: (any Exchange)?) {
        guard exchange === self.exchange else { return }
        write(reply)
    }

    private func write(_ reply: Reply) {
        guard let context else { return }
        let ended = exchange
        exchange = nil
        releaseBuffered()
        let closes = state.beginAnswer(mustClose: reply.mustClose)
        var buffer = context.channel.allocator.buffer(capacity: 512 + (reply.body?.readableBytes ?? 0))
        let connection: String? = closes ? "close" : (isHTTP10 ? "keep-alive" : nil)
        reply.write(to: &buffer, date: loop.date, isHead: isHead, connection: connection)
        switch state.endAnswer() {
        case .next, .discardRest:
            context.write(wrapOutboundOut(buffer), promise: nil)
            needsFlush = true
        case .close:
            context.writeAndFlush(wrapOutboundOut(buffer)).assumeIsolated().whenComplete { _ in
                context.close(mode: .all, promise: nil)
            }
        }
        ended?.cancel()
        if !isReading { flushIfNeeded() }
        lastInputTick = loop.ticks
        if !waitingInput.isEmpty { drainWaitingInput() }
    }

    private func flushIfNeeded() {
        guard needsFlush else { return }
        needsFlush = false
        context?.flush()
    }

    // MARK: - Bounds

    /// Counts bytes of a body that is gathered in memory (`listen.max_buffered_bytes`); false when there is no room.
    func reserveBuffered(_ bytes: Int) -> Bool {
        guard server.buffers.reserve(bytes) else { return false }
        bufferedBytes += bytes
        return true
    }

    private func releaseBuffered() {
        server.buffers.release(bufferedBytes)
        bufferedBytes = 0
    }

    /// Closes the connection if its client has been silent for too long; called once a second.
    func checkTimeouts(_ ticks: Int) {
        let silentSeconds = ticks - lastInputTick
        if state.isIdle {
            // A client that has just connected owes its first request; one that is kept alive may rest.
            let limit = hasHadRequest ? server.configuration.idleTimeoutSeconds : server.configuration.headTimeoutSeconds
            if silentSeconds > limit { context?.close(promise: nil) }
        } else if state.takesInput, silentSeconds > server.configuration.idleTimeoutSeconds {
            guard state.failed() else { context?.close(promise: nil); return }
            let stalled = exchange
            exchange = nil
            stalled?.cancel()
            var reply = server.errors.bodyTimeout()
            reply.mustClose = true
            write(reply)
        }
    }

    /// Ends the connection now.
    func close() { context?.close(promise: nil) }

    /// Ends the connection as soon as what it serves is answered.
    func quiesce() {
        if state.quiesce() { context?.close(promise: nil) }
    }
}
