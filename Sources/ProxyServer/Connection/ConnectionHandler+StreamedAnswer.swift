import NIOCore

/// Answers that come in pieces.
extension ConnectionHandler {
    /// Whether the client takes more of an answer; when it is false, ``Exchange/resumeAnswer()`` tells the end of that.
    ///
    /// Writing goes through all the same: it is the exchange that keeps what is in memory bounded.
    var isWritable: Bool { context?.channel.isWritable ?? false }

    /// Passes an interim answer on, to a client that knows what that is (RFC 9110 §15.2).
    func writeInterim(_ answer: InterimAnswer, from exchange: any Exchange) {
        guard exchange === self.exchange, !isHTTP10, state.takesInterimAnswers, let context else { return }
        var buffer = context.channel.allocator.buffer(capacity: 512)
        answer.write(to: &buffer)
        context.write(wrapOutboundOut(buffer), promise: nil)
        flushSoon()
    }

    /// Begins to answer the request that is being served.
    ///
    /// - Parameters:
    ///   - exchange: Who answers; an exchange that is not being served any more is not heard, here and below.
    ///   - result: What it is counted as.
    func beginAnswer(_ head: AnswerHead, from exchange: any Exchange, _ result: ReadResult = .fetched) {
        guard exchange === self.exchange, let context else { return }
        loop.requestCounts.add(route, status: head.status, result)
        framing = AnswerFraming(head, isHead: isHead, isHTTP10: isHTTP10)
        let closes = state.beginAnswer(mustClose: framing == .untilClose)
        state.streamsAnswer(bytes: head.announcedBytes(framing))
        var buffer = context.channel.allocator.buffer(capacity: 1024)
        head.write(to: &buffer, framing: framing, date: loop.date, connection: connectionField(closes))
        context.write(wrapOutboundOut(buffer), promise: nil)
        flushSoon()
    }

    /// Writes a piece of the answer's body; one that exceeds the announced length ends the answer as broken.
    func write(_ bytes: ByteBuffer, from exchange: any Exchange) {
        guard exchange === self.exchange, let context, bytes.readableBytes > 0, framing != .headOnly else { return }
        guard state.writesAnswer(bytes: bytes.readableBytes) else { return breakOff() }
        if framing == .chunked {
            var size = context.channel.allocator.buffer(capacity: 24)
            size.writeString(String(bytes.readableBytes, radix: 16))
            size.writeStaticString("\r\n")
            context.write(wrapOutboundOut(size), promise: nil)
            context.write(wrapOutboundOut(bytes), promise: nil)
            context.write(wrapOutboundOut(Self.chunkEnd), promise: nil)
        } else {
            context.write(wrapOutboundOut(bytes), promise: nil)
        }
        flushSoon()
    }

    /// Ends the answer; one that is shorter than it said is broken off.
    func endAnswer(from exchange: any Exchange) {
        guard exchange === self.exchange else { return }
        finish(with: framing == .chunked ? Self.lastChunk : ByteBuffer())
    }

    /// Breaks the answer off, so that the client cannot take it for a whole one: the connection ends.
    func abortAnswer(from exchange: any Exchange) {
        guard exchange === self.exchange else { return }
        breakOff()
    }

    private static let chunkEnd = ByteBuffer(staticString: "\r\n")
    private static let lastChunk = ByteBuffer(staticString: "0\r\n\r\n")
}
