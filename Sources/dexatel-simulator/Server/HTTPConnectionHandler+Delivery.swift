import Glibc
import NIOCore

extension HTTPConnectionHandler {
    /// Between the last byte and a reset, so that the client gets to see the bytes.
    private static let resetDelay = TimeAmount.milliseconds(10)
    /// Slow bodies are sent in this many pieces a second.
    private static let piecesPerSecond = 10

    /// Carries out a delivery whose time has come.
    func perform(_ script: Delivery.Script, _ context: ChannelHandlerContext) {
        switch script {
        case .whole(let reply):
            var (buffer, body) = render(reply, context)
            buffer.writeBytes(body)
            context.write(wrapOutboundOut(buffer), promise: nil)
            finishTurn(context)
        case .silence:
            break
        case .resetMidReply(let reply):
            var (buffer, body) = render(reply, context)
            buffer.writeBytes(body.prefix(body.count / 2))
            context.writeAndFlush(wrapOutboundOut(buffer), promise: nil)
            context.eventLoop.assumeIsolated().scheduleTask(in: Self.resetDelay) { self.reset(context) }
        case .reset:
            reset(context)
        case .slowBody(let reply, let bytesPerSecond):
            let (buffer, body) = render(reply, context)
            context.writeAndFlush(wrapOutboundOut(buffer), promise: nil)
            sendSlowly(body, bytesPerSecond: bytesPerSecond, context)
        case .raw(let bytes):
            context.write(wrapOutboundOut(ByteBuffer(bytes: bytes)), promise: nil)
            end(context)
        }
    }

    private func render(
        _ reply: SimulatorReply,
        _ context: ChannelHandlerContext
    ) -> (head: ByteBuffer, body: ArraySlice<UInt8>) {
        var buffer = context.channel.allocator.buffer(capacity: 256 + reply.body.count)
        let body = ReplyRenderer.renderHead(
            reply,
            isHead: current?.request.method == "HEAD",
            keepsAlive: current?.keepsAlive ?? false,
            isLegacyVersion: current?.isLegacyVersion ?? false,
            date: CalendarTime(seconds: WallClock.milliseconds() / 1000).imfFixdate,
            into: &buffer
        )
        return (buffer, body)
    }

    private func sendSlowly(_ body: ArraySlice<UInt8>, bytesPerSecond: Int, _ context: ChannelHandlerContext) {
        guard context.channel.isActive else { return }
        guard !body.isEmpty else {
            finishTurn(context)
            return serveWaiting(context)
        }
        // A piece has at least one byte: slower than that, the pieces come further apart.
        let size = max(1, bytesPerSecond / Self.piecesPerSecond)
        let pause = TimeAmount.microseconds(Int64(1_000_000 * size / bytesPerSecond))
        context.eventLoop.assumeIsolated().scheduleTask(in: pause) {
            context.writeAndFlush(self.wrapOutboundOut(ByteBuffer(bytes: body.prefix(size))), promise: nil)
            self.sendSlowly(body.dropFirst(size), bytesPerSecond: bytesPerSecond, context)
        }
    }

    /// Closes with RST: bytes on their way are lost and the client sees an error, not an end.
    private func reset(_ context: ChannelHandlerContext) {
        guard context.channel.isActive, let socket = context.channel as? any SocketOptionProvider else { return }
        socket.setSoLinger(linger(l_onoff: 1, l_linger: 0)).assumeIsolated().whenComplete { _ in
            context.close(promise: nil)
        }
    }
}
