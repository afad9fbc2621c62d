import HTTPWire
import NIOCore
import NIOHTTP1
import Outbox
import ResponseCache

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// Executes what `ConnectionState` decides: reads requests from the bytes that come, hands them to exchanges, writes their
/// replies.
final class ConnectionHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// Seconds in which a client may still say what nobody wants any more, behind the last answer.
    private static let lingerSeconds = 5

    var state = ConnectionState()
    private(set) var server: ServerCore
    let loop: EventLoopContext
    private var router: any RequestRouter
    private let peer: ConnectionPeer
    private var hostMemo = HostMemo()
    private var lastKey = LastKey()
    private(set) var context: ChannelHandlerContext?
    private(set) var exchange: (any Exchange)?
    private(set) var isHead = false
    private(set) var isHTTP10 = false
    /// What the request that is being served is counted by.
    var route = RequestRoute.relay
    /// How the answer that is being streamed goes onto the wire.
    var framing = AnswerFraming.headOnly
    private var parser: RequestParser
    /// What has come and is not taken yet: the beginning of a head, or what a client has pipelined.
    private var input = ByteBuffer()
    private var readIsHeldBack = false
    private var isReading = false
    private var needsFlush = false
    private var isDraining = false
    private var lastInputTick = 0
    /// When the head that is awaited began to come, or the connection did; nil between requests.
    private var headSinceTick: Int?
    private var lingersSinceTick = 0
    private var lastOutputTick = 0
    private var lastBufferedOutput = 0
    private var hasHadRequest = false
    private var inputHasEnded = false
    /// What is wrong with the input behind everything that waits.
    private var inputFault: RequestFault?
    private var bufferedBytes = 0

    init(server: ServerCore, loop: EventLoopContext, router: any RequestRouter, peer: ConnectionPeer = .network) {
        self.server = server
        self.loop = loop
        self.router = router
        self.peer = peer
        parser = RequestParser(maxHeadBytes: server.configuration.maxHeadBytes)
    }

    // MARK: - Channel events

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        lastInputTick = loop.ticks
        headSinceTick = loop.ticks
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
        var bytes = unwrapInboundIn(data)
        if input.readableBytes == 0 { input = bytes } else { input.writeBuffer(&bytes) }
        takeInput()
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        isReading = false
        flushIfNeeded()
    }

    func read(context: ChannelHandlerContext) {
        // Reading goes on while an answer is awaited, so that the common client costs no change of interest; only a
        // client that has pipelined waits, and what it has sent is bounded by one read.
        if holdsBackReads { readIsHeldBack = true } else { context.read() }
    }

    private var holdsBackReads: Bool { state.holdsBackReads || input.readableBytes > 0 && !state.takesInput }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        let isWritable = context.channel.isWritable
        state.writabilityChanged(isWritable)
        if isWritable {
            exchange?.resumeAnswer()
            takeInput()
        }
        context.fireChannelWritabilityChanged()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .some(ChannelEvent.inputClosed) = event as? ChannelEvent {
            inputHasEnded = true
            takeInput()
        }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // A reset or the like: there is no client left to answer.
        context.close(promise: nil)
    }

    // MARK: - Input

    /// Takes what has come as far as it is wanted now.
    private func takeInput() {
        guard !isDraining else { return }
        isDraining = true
        defer { isDraining = false }
        while state.takesInput, inputFault == nil, let part = nextPart() {
            switch part {
            case .head(let head): begin(head)
            case .body(let bytes): receive(bytes)
            case .end: end()
            }
        }
        noteEndOfInput()
        keepInput()
        guard readIsHeldBack, !holdsBackReads else { return }
        readIsHeldBack = false
        context?.read()
    }

    private func nextPart() -> RequestParser.Part? {
        if state.isLingering {
            discardInput()
            return nil
        }
        do throws(RequestFault) {
            return try parser.next(&input)
        } catch {
            inputFault = error
            return nil
        }
    }

    /// Behind the last answer nothing is understood any more, only counted.
    private func discardInput() {
        let bytes = input
        input = ByteBuffer()
        if bytes.readableBytes > 0 { receive(bytes) }
    }

    /// Lets go of the memory that was read into, but for what was not taken, which gets its own.
    private func keepInput() {
        if input.readableBytes == 0 || state.isClosing {
            input = ByteBuffer()
            return
        }
        if state.isIdle, headSinceTick == nil { headSinceTick = loop.ticks }
        if input.storageCapacity > 2 * input.readableBytes + 1024 {
            input = ByteBuffer(bytes: input.readableBytesView)
        }
    }

    private func begin(_ head: RequestHead) {
        hasHadRequest = true
        headSinceTick = nil
        let isServed = state.receivedHead(
            keepsAlive: head.keepsAlive,
            expectsContinue: head.expectsContinue,
            bodyBytes: head.body.bytes
        )
        guard isServed else { return }
        isHTTP10 = head.isHTTP10
        if case .HEAD = head.method { isHead = true } else { isHead = false }
        route = .relay
        router.serve(head, on: self)
    }

    private func receive(_ bytes: ByteBuffer) {
        switch state.receivedBody(bytes: bytes.readableBytes) {
        case .deliver: exchange?.receive(bytes)
        case .discard: break
        case .linger: stopSaying()
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

    /// A client that has sent its last request, or something that is none, still gets its answer, and those to what it
    /// pipelined before.
    private func noteEndOfInput() {
        if inputHasEnded, inputFault == nil, state.takesInput, !state.isLingering,
            input.readableBytes > 0 || !parser.isBetweenRequests
        {
            // It ended in the middle of a request.
            inputFault = .malformed
        }
        if let fault = inputFault, state.takesInput {
            inputFault = nil
            input = ByteBuffer()
            fail(server.errors.unreadable(fault))
        }
        if inputHasEnded, inputFault == nil, input.readableBytes == 0, state.inputClosed() {
            context?.close(promise: nil)
        }
    }

    /// Ends the connection with this answer, unless another one has begun.
    private func fail(_ reply: Reply) {
        switch state.failed() {
        case .answer:
            let stopped = exchange
            exchange = nil
            stopped?.cancel()
            // What failed may be behind a request that was answered.
            if stopped == nil { isHead = false }
            var reply = reply
            reply.mustClose = true
            write(reply)
        case .abort: breakOff()
        case .close: context?.close(promise: nil)
        }
    }

    /// Takes no more of the request's body for now: what comes waits, and then the client does.
    func pauseInput(from exchange: any Exchange) {
        if exchange === self.exchange { state.pauseInput() }
    }

    /// Takes the request's body again.
    func resumeInput(from exchange: any Exchange) {
        guard exchange === self.exchange, state.resumeInput() else { return }
        // The client could not know how long it would be kept waiting.
        lastInputTick = loop.ticks
        takeInput()
    }

    // MARK: - Admission

    /// Lets a request in whose head has just come, or says why not.
    func admit(_ fields: ClientFields, needsCredentials: Bool = true) throws(ClientRefusal) -> Caller {
        do throws(ClientRefusal) {
            return try server.clientGuard.admit(
                fields,
                isHTTP10: isHTTP10,
                from: peer,
                memo: &hostMemo,
                needsCredentials: needsCredentials
            ) { lastKey.key(fields, &loop.keyMemo, in: server.outbox.keys) }
        } catch {
            if error == .forwardingLoop { loop.requestCounts.forwardingLoops &+= 1 }
            throw error
        }
    }

    /// What is wrong with the name in a target in absolute form.
    func refusal(ofAuthority authority: String) -> ClientRefusal? {
        server.clientGuard.rules.refusal(ofAuthority: authority, from: peer)
    }

    // MARK: - Answers

    var eventLoopContext: EventLoopContext { loop }

    /// Lets an exchange serve the request whose head has just come.
    func serve(with exchange: any Exchange) { self.exchange = exchange }

    /// Asks the client for its body, if it waits for that: one that has begun to send it does not (RFC 9110 §10.1.1).
    func writeContinue() {
        guard state.wantsBody(), input.readableBytes == 0, let context else { return }
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
        loop.requestCounts.add(route, status: reply.status, .failed)
        let closes = state.beginAnswer(mustClose: reply.mustClose)
        var buffer = context.channel.allocator.buffer(capacity: 512 + (reply.body?.readableBytes ?? 0))
        reply.write(to: &buffer, date: loop.date, isHead: isHead, connection: connectionField(closes))
        finish(with: buffer)
    }

    /// Answers with what is stored, in one write if nothing has to be added (design §9).
    func answer(
        _ hit: CacheHit,
        _ additions: WireAdditions?,
        nowMilliseconds: Int64,
        from exchange: (any Exchange)?
    ) {
        guard exchange === self.exchange, let context else { return }
        let result = ReadResult(hit, additions, nowMilliseconds: nowMilliseconds)
        loop.requestCounts.add(route, status: hit.status, result)
        let connection = connectionField(state.beginAnswer(mustClose: false))
        guard additions != nil || connection != nil else {
            return write(hit.wireImage(nowMilliseconds: nowMilliseconds), context)
        }
        var additions = additions ?? WireAdditions()
        additions.connection = connection
        write(hit.wireImage(nowMilliseconds: nowMilliseconds, adding: additions), context)
    }

    private func write(_ image: WireImage, _ context: ChannelHandlerContext) {
        guard let body = image.body else { return finish(with: image.bytes) }
        context.write(wrapOutboundOut(image.bytes), promise: nil)
        finish(with: body)
    }

    /// The `Connection` field's value, if one is needed.
    func connectionField(_ closes: Bool) -> String? { closes ? "close" : (isHTTP10 ? "keep-alive" : nil) }

    /// Writes the last bytes of an answer and goes on with what follows it.
    func finish(with buffer: ByteBuffer) {
        guard let context else { return }
        let ended = exchange
        exchange = nil
        releaseBuffered()
        switch state.endAnswer() {
        case .next, .discardRest:
            if buffer.readableBytes > 0 { context.write(wrapOutboundOut(buffer), promise: nil) }
            needsFlush = true
        case .linger:
            context.writeAndFlush(wrapOutboundOut(buffer), promise: nil)
            stopSaying()
        case .close:
            context.writeAndFlush(wrapOutboundOut(buffer)).assumeIsolated().whenComplete { _ in
                context.close(mode: .all, promise: nil)
            }
        case .abort:
            reset()
        }
        ended?.cancel()
        if !isReading { flushIfNeeded() }
        lastInputTick = loop.ticks
        if input.readableBytes > 0 || inputFault != nil || inputHasEnded || readIsHeldBack { takeInput() }
    }

    /// Says that no more follows, once everything is written, and lets the client say the rest: closing with input
    /// unread would reset the connection, and could take the answer from the client (RFC 9112 §9.6).
    private func stopSaying() {
        lingersSinceTick = loop.ticks
        context?.close(mode: .output, promise: nil)
    }

    /// Ends an answer in the middle, so that its client knows; what the kernel does not take at once is lost.
    func breakOff() {
        flushIfNeeded()
        state.abort()
        let ended = exchange
        exchange = nil
        releaseBuffered()
        reset()
        ended?.cancel()
    }

    private func reset() {
        guard let context else { return }
        // Without a length and chunks only a reset tells a broken answer from a whole one.
        if framing == .untilClose, let options = context.channel as? any SocketOptionProvider {
            _ = options.setSoLinger(linger(l_onoff: 1, l_linger: 0))
        }
        context.close(promise: nil)
    }

    /// Has what was written sent when no more of it comes for now: with the end of the read that is being processed, or of
    /// the turn of the loop, so that a head and what there is of the body leave together.
    func flushSoon() {
        guard !needsFlush else { return }
        needsFlush = true
        if !isReading { loop.sendSoon(self) }
    }

    /// Sends what was written and is not sent yet.
    func flushIfNeeded() {
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

    /// Closes the connection if its client has been silent for too long, or does not read; called once a second.
    func checkTimeouts(_ ticks: Int) {
        let silentSeconds = ticks - lastInputTick
        if state.isIdle, state.takesInput {
            if let headSinceTick {
                guard ticks - headSinceTick > server.configuration.headTimeoutSeconds else { return }
                // A client that has not begun a request is not waiting for an answer.
                if input.readableBytes > 0 { fail(server.errors.headTimeout()) } else { context?.close(promise: nil) }
            } else if silentSeconds > server.configuration.idleTimeoutSeconds {
                context?.close(promise: nil)
            }
        } else if isOutputStalled(ticks) || state.isLingering && ticks - lingersSinceTick > Self.lingerSeconds {
            context?.close(promise: nil)
        } else if state.takesInput, silentSeconds > server.configuration.idleTimeoutSeconds {
            fail(server.errors.bodyTimeout())
        }
    }

    /// Whether there is something to send, and none of it has gone for `listen.idle_timeout`.
    private func isOutputStalled(_ ticks: Int) -> Bool {
        let buffered = (try? context?.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
        guard buffered > 0, buffered == lastBufferedOutput else {
            (lastBufferedOutput, lastOutputTick) = (buffered, ticks)
            return false
        }
        return ticks - lastOutputTick > server.configuration.idleTimeoutSeconds
    }

    /// Serves the next request with this; the one that is being served goes on as it began.
    func adopt(_ server: ServerCore, router: any RequestRouter) { (self.server, self.router) = (server, router) }

    /// Ends the connection now.
    func close() { context?.close(promise: nil) }

    /// Ends the connection as soon as what it serves is answered; an idle client's next request is its last.
    func quiesce() { state.quiesce() }

    /// Ends the connection if nothing is being served, and nothing that the client has sent is still to be read: the
    /// server stops.
    ///
    /// - Parameter isNew: Whether a client that has not sent a request yet is meant, too.
    func endIdle(includingNew isNew: Bool) {
        guard hasHadRequest || isNew, input.readableBytes == 0, !hasUnreadInput, state.endIdle() else { return }
        context?.close(promise: nil)
    }

    /// Whether the kernel holds bytes of the client that would be lost with the connection.
    private var hasUnreadInput: Bool {
        let unread = try? context?.channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(
            of: NIOBSDSocket.Handle.self
        ) { descriptor in
            var byte: UInt8 = 0
            return recv(descriptor, &byte, 1, CInt(MSG_PEEK) | CInt(MSG_DONTWAIT)) > 0
        }
        return unread ?? false
    }
}
