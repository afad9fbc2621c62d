import NIOCore

/// A proxy that makes no tunnel.
struct TunnelFailure: Error, CustomStringConvertible {
    let description: String
}

/// Asks a proxy for a tunnel (RFC 9110 §9.3.6), then makes room for what goes through it.
final class TunnelHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let target: String
    private let proxy: OriginConfiguration.Proxy
    private let opened: (ChannelPipeline.SynchronousOperations, TunnelHandler) throws -> Void
    private var parser: ReplyParser
    private var received = ByteBuffer()
    private var isOpen = false

    /// - Parameter opened: Puts what goes through the tunnel behind this handler.
    init(
        to target: String,
        _ proxy: OriginConfiguration.Proxy,
        limits: ReplyLimits,
        opened: @escaping (ChannelPipeline.SynchronousOperations, TunnelHandler) throws -> Void
    ) {
        self.target = target
        self.proxy = proxy
        self.parser = ReplyParser(limits: limits)
        self.opened = opened
    }

    func channelActive(context: ChannelHandlerContext) {
        var request = context.channel.allocator.buffer(capacity: 256)
        request.writeString("CONNECT \(self.target) HTTP/1.1\r\nHost: \(self.target)\r\n")
        if let authorization = self.proxy.authorization {
            request.writeString("Proxy-Authorization: \(authorization)\r\n")
        }
        request.writeStaticString("\r\n")
        // A 2xx to CONNECT has no body, whatever its fields say, like the reply to a HEAD.
        self.parser.begin(isHead: true)
        context.writeAndFlush(self.wrapOutboundOut(request), promise: nil)
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !self.isOpen else { return context.fireChannelRead(data) }
        var bytes = self.unwrapInboundIn(data)
        self.received.writeBuffer(&bytes)
        do {
            while let event = try self.parser.next(&self.received) {
                guard case .head(let head) = event, !head.isInterim else { continue }
                guard (200..<300).contains(head.status) else {
                    throw TunnelFailure(description: "the proxy answered \(head.status)")
                }
                return try self.open(context)
            }
        } catch {
            let failure = error is ReplyFault ? TunnelFailure(description: "the proxy does not speak HTTP") : error
            context.fireErrorCaught(failure)
        }
    }

    private func open(_ context: ChannelHandlerContext) throws {
        self.isOpen = true
        // In a tunnel for TLS the client speaks first.
        guard self.received.readableBytes == 0 else {
            throw TunnelFailure(description: "the proxy sent bytes that nobody asked for")
        }
        let pipeline = context.pipeline.syncOperations
        try self.opened(pipeline, self)
        pipeline.removeHandler(self, promise: nil)
    }
}
