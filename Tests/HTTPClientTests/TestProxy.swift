import NIOCore
import NIOPosix
import Synchronization

/// A proxy whose tunnels all lead to one port of this host.
final class TestProxy: Sendable {
    private final class Heads: Sendable {
        let heads = Mutex<[String]>([])
    }

    private let seen = Heads()
    private let channel: any Channel

    /// - Parameter isAdmitted: Whether tunnels are made, or refused with 407.
    init(target: Int, isAdmitted: Bool) async throws {
        let seen = self.seen
        self.channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        Front(target, isAdmitted) { head in
                            seen.heads.withLock { $0.append(head) }
                        }
                    )
                }
            }
            .bind(host: "127.0.0.1", port: 0)
            .get()
    }

    var port: Int { self.channel.localAddress?.port ?? 0 }
    /// The heads of the requests for tunnels.
    var heads: [String] { self.seen.heads.withLock { $0 } }

    func stop() async throws { try await self.channel.close() }

    private final class Front: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer
        private let target: Int
        private let isAdmitted: Bool
        private let note: (String) -> Void
        private var received = ""
        private var other: (any Channel)?

        init(_ target: Int, _ isAdmitted: Bool, _ note: @escaping (String) -> Void) {
            (self.target, self.isAdmitted, self.note) = (target, isAdmitted, note)
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let bytes = self.unwrapInboundIn(data)
            if let other { return other.writeAndFlush(bytes, promise: nil) }
            self.received += String(buffer: bytes)
            guard self.received.hasSuffix("\r\n\r\n") else { return }
            self.note(self.received)
            guard self.isAdmitted else {
                let refusal = ByteBuffer(string: "HTTP/1.1 407 Who\r\nContent-Length: 0\r\n\r\n")
                return context.writeAndFlush(self.wrapOutboundOut(refusal), promise: nil)
            }
            let front = context.channel
            let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
            ClientBootstrap(group: context.eventLoop)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(Back(front))
                    }
                }
                .connect(host: "127.0.0.1", port: self.target)
                .whenSuccess { channel in
                    let (front, context) = bound.value
                    front.other = channel
                    let answer = ByteBuffer(string: "HTTP/1.1 200 Established\r\n\r\n")
                    context.writeAndFlush(front.wrapOutboundOut(answer), promise: nil)
                }
        }

        func channelInactive(context: ChannelHandlerContext) { self.other?.close(promise: nil) }
    }

    private final class Back: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private let front: any Channel

        init(_ front: any Channel) { self.front = front }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            self.front.writeAndFlush(self.unwrapInboundIn(data), promise: nil)
        }

        func channelInactive(context: ChannelHandlerContext) { self.front.close(promise: nil) }
    }
}
