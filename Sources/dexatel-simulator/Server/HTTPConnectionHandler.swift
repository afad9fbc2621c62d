import NIOCore
import NIOHTTP1

/// One connection: gathers requests, has them answered one after the other, and carries the deliveries out.
final class HTTPConnectionHandler: ChannelDuplexHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// A complete request that waits for its turn.
    struct Turn {
        let request: SimulatorRequest
        let keepsAlive: Bool
        let isLegacyVersion: Bool
    }

    let responder: any HTTPResponder
    private var assembly: RequestAssembly?
    private var waiting = CircularBuffer<Turn>()
    /// The request that is being answered; in silence it stays for ever.
    private(set) var current: Turn?
    /// A delivery that waits for its time.
    private var delayed: Delivery?
    /// After the last reply: what comes in is thrown away.
    private var isEnding = false
    private var isReadHeld = false
    private var isInRead = false

    /// Beyond this many pipelined requests the connection is not read.
    private static let waitingLimit = 64
    /// How long a client has to read the last reply before the connection is closed under it.
    private static let lingerTime = TimeAmount.seconds(1)

    init(responder: any HTTPResponder) {
        self.responder = responder
    }

    func channelActive(context: ChannelHandlerContext) {
        responder.connectionOpened()
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        isEnding = true
        if let delayed { responder.withdraw(delayed) }
        delayed = nil
        responder.connectionClosed()
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isEnding else { return }
        isInRead = true
        switch unwrapInboundIn(data) {
        case .head(let head):
            assembly = RequestAssembly(head, bodyLimitBytes: responder.bodyLimitBytes)
            expectBody(context)
        case .body(let part):
            assembly?.append(part)
        case .end:
            guard let assembly else { return }
            self.assembly = nil
            enqueue(assembly, keepsAlive: assembly.head.isKeepAlive)
            serveWaiting(context)
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        isInRead = false
        context.flush()
        context.fireChannelReadComplete()
    }

    func read(context: ChannelHandlerContext) {
        if waiting.count < Self.waitingLimit { context.read() } else { isReadHeld = true }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard error is HTTPParserError, !isEnding, current == nil, !responder.isSilent else {
            context.close(promise: nil)
            return
        }
        // What cannot be parsed has no path and no method that an error body could name.
        current = Turn(
            request: SimulatorRequest(method: "", target: "", receivedMilliseconds: WallClock.milliseconds()),
            keepsAlive: false,
            isLegacyVersion: false
        )
        perform(.whole(SimulatorReply(status: 400)), context)
    }

    /// Tells a client that waits to go on, or refuses what it announces before it comes.
    private func expectBody(_ context: ChannelHandlerContext) {
        guard var assembly, assembly.owesContinue, current == nil, !isEnding else { return }
        if assembly.announcesTooMuch {
            assembly.refuseBody()
            self.assembly = nil
            enqueue(assembly, keepsAlive: false)
            serveWaiting(context)
        } else if !responder.isSilent {
            self.assembly?.owesContinue = false
            context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: "HTTP/1.1 100 Continue\r\n\r\n")), promise: nil)
        }
    }

    private func enqueue(_ assembly: RequestAssembly, keepsAlive: Bool) {
        let turn = Turn(
            request: assembly.request(atMilliseconds: WallClock.milliseconds()),
            keepsAlive: keepsAlive,
            isLegacyVersion: assembly.head.version.minor == 0
        )
        waiting.append(turn)
    }

    /// Has the next requests answered, as far as nothing stands before them.
    func serveWaiting(_ context: ChannelHandlerContext) {
        while current == nil, !isEnding, let turn = waiting.popFirst() {
            current = turn
            switch responder.respond(to: turn.request, on: context.eventLoop) {
            case .now(let delivery):
                begin(delivery, context)
            case .later(let future):
                future.assumeIsolated().whenComplete { result in
                    switch result {
                    case .success(let delivery): self.begin(delivery, context)
                    case .failure: context.close(promise: nil)
                    }
                    self.serveWaiting(context)
                }
            }
        }
        if isReadHeld, waiting.count < Self.waitingLimit {
            isReadHeld = false
            context.read()
        }
        expectBody(context)
    }

    private func begin(_ delivery: Delivery, _ context: ChannelHandlerContext) {
        guard !isEnding else { return responder.withdraw(delivery) }
        guard delivery.delayMilliseconds > 0 else { return perform(delivery.script, context) }
        delayed = delivery
        let time = TimeAmount.milliseconds(Int64(delivery.delayMilliseconds))
        context.eventLoop.assumeIsolated().scheduleTask(in: time) {
            guard self.delayed != nil else { return }
            self.delayed = nil
            self.perform(delivery.script, context)
            self.serveWaiting(context)
        }
    }

    /// Ends the turn: the next request is answered, or the connection ends after what has been written.
    func finishTurn(_ context: ChannelHandlerContext) {
        guard let turn = current else { return }
        current = nil
        if !turn.keepsAlive {
            end(context)
        } else if !isInRead {
            context.flush()
        }
    }

    /// Sends what has been written and the end of the stream, and gives the client time to read both: closing at once
    /// with unread bytes about would reset the connection.
    func end(_ context: ChannelHandlerContext) {
        isEnding = true
        context.flush()
        context.close(mode: .output, promise: nil)
        context.eventLoop.assumeIsolated().scheduleTask(in: Self.lingerTime) { context.close(promise: nil) }
    }
}
