import NIOCore
import NIOPosix
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// A server on a loopback port that answers raw bytes with raw bytes, as well or badly as the test wants.
package final class ScriptedServer: Sendable {
    /// What a request is answered with.
    package enum Reaction: Sendable {
        /// These bytes.
        case reply(String)
        /// These bytes, and then the end of the connection.
        case replyThenClose(String)
        /// These bytes, and then a reset.
        case replyThenReset(String)
        /// Nothing.
        case silence
        /// A body without an end.
        case endless
    }

    private struct Record {
        var requests: [String] = []
        var closes: [EventLoopFuture<Void>] = []
    }

    private let group = MultiThreadedEventLoopGroup.singleton
    private let channel: any Channel
    private let record: Recorder

    /// What arrived, shared with the connections' handlers.
    final class Recorder: Sendable {
        private let record = Mutex(Record())

        func connected(_ close: EventLoopFuture<Void>) { self.record.withLock { $0.closes.append(close) } }
        func received(_ request: String) -> Int {
            self.record.withLock {
                $0.requests.append(request)
                return $0.requests.count
            }
        }
        var requests: [String] { self.record.withLock { $0.requests } }
        var closes: [EventLoopFuture<Void>] { self.record.withLock { $0.closes } }
    }

    /// Binds a port; `script` gets each whole request and its number, from 1.
    package init(_ script: @escaping @Sendable (String, Int) -> Reaction) async throws {
        let record = Recorder()
        self.record = record
        self.channel = try await ServerBootstrap(group: self.group)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                record.connected(channel.closeFuture)
                return channel.eventLoop.submit {
                    try channel.pipeline.syncOperations.addHandler(Connection(record, script))
                }
            }
            .bind(host: "127.0.0.1", port: 0)
            .get()
    }

    /// The port that it listens at.
    package var port: Int { self.channel.localAddress?.port ?? 0 }
    /// Its base URL.
    package var url: String { "http://127.0.0.1:\(self.port)" }
    /// What has arrived, in order, each request whole.
    package var requests: [String] { self.record.requests }
    /// Connections that were ever made.
    package var connectionCount: Int { self.record.closes.count }

    /// Returns when every connection made so far is closed.
    package func allConnectionsClosed() async throws {
        for close in self.record.closes { try await close.get() }
    }

    /// Listens no more.
    package func stop() async throws {
        try await self.channel.close()
    }

    private final class Connection: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        private let record: Recorder
        private let script: @Sendable (String, Int) -> Reaction
        private var received = ""

        init(_ record: Recorder, _ script: @escaping @Sendable (String, Int) -> Reaction) {
            self.record = record
            self.script = script
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            self.received += String(buffer: self.unwrapInboundIn(data))
            guard self.isWhole else { return }
            let request = self.received
            self.received = ""
            let loopBound = NIOLoopBound(context, eventLoop: context.eventLoop)
            switch self.script(request, self.record.received(request)) {
            case .reply(let text):
                self.send(text, context)
            case .replyThenClose(let text):
                self.send(text, context).whenComplete { _ in loopBound.value.close(promise: nil) }
            case .replyThenReset(let text):
                self.send(text, context).whenComplete { _ in
                    // Closing with a linger time of zero sends RST instead of FIN.
                    let channel = loopBound.value.channel
                    guard let options = channel as? any SocketOptionProvider else { return }
                    options.setSoLinger(linger(l_onoff: 1, l_linger: 0)).whenComplete { _ in
                        channel.close(promise: nil)
                    }
                }
            case .silence:
                break
            case .endless:
                self.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", context)
                self.pour(loopBound)
            }
        }

        private func pour(_ context: NIOLoopBound<ChannelHandlerContext>) {
            let chunk = "10000\r\n" + String(repeating: "x", count: 0x1_0000) + "\r\n"
            self.send(chunk, context.value).assumeIsolated().whenSuccess {
                self.pour(context)
            }
        }

        @discardableResult
        private func send(_ text: String, _ context: ChannelHandlerContext) -> EventLoopFuture<Void> {
            context.writeAndFlush(self.wrapOutboundOut(ByteBuffer(string: text)))
        }

        private var isWhole: Bool {
            guard let end = self.received.firstRange(of: "\r\n\r\n") else { return false }
            let head = self.received[..<end.lowerBound].lowercased()
            let body = self.received[end.upperBound...]
            if head.contains("transfer-encoding: chunked") { return body.hasSuffix("0\r\n\r\n") }
            guard let field = head.firstRange(of: "content-length: ") else { return true }
            let length = Int(head[field.upperBound...].prefix { $0.isNumber }) ?? 0
            return body.utf8.count >= length
        }
    }
}
