import NIOCore
import NIOPosix
import Synchronization

/// A server on a loopback port that says what the test's script says, byte for byte.
final class TestUpstream: Sendable {
    /// One connection of the relay's, read and written by the script.
    final class Connection {
        private var inbound: NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator
        private let channel: any Channel
        private var unread = ByteBuffer()

        init(_ inbound: NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator, _ channel: any Channel) {
            self.inbound = inbound
            self.channel = channel
        }

        /// The next head, with the empty line; nil when the relay has closed.
        func head() async throws -> String? {
            while true {
                let text = String(buffer: unread)
                if let end = text.firstRange(of: "\r\n\r\n") {
                    let head = String(text[..<end.upperBound])
                    unread.moveReaderIndex(forwardBy: head.utf8.count)
                    return head
                }
                guard let more = try await inbound.next() else { return nil }
                unread.writeImmutableBuffer(more)
            }
        }

        /// Some bytes of a body; nil when the relay has closed.
        func bytes() async throws -> ByteBuffer? {
            guard unread.readableBytes == 0 else {
                defer { unread = ByteBuffer() }
                return unread
            }
            return try await inbound.next()
        }

        /// Bytes until they end with the text.
        func text(endingWith end: String) async throws -> String {
            var text = ""
            while !text.hasSuffix(end) {
                guard let more = try await bytes() else { return text }
                text += String(buffer: more)
            }
            return text
        }

        func write(_ text: String) async throws { try await write(ByteBuffer(string: text)) }

        /// Returns when the kernel has taken everything.
        func write(_ bytes: ByteBuffer) async throws { try await channel.writeAndFlush(bytes) }

        /// Returns when the relay has closed the connection.
        func closed() async {
            do { while try await inbound.next() != nil {} } catch {}
        }
    }

    private let listener: NIOAsyncChannel<NIOAsyncChannel<ByteBuffer, ByteBuffer>, Never>
    private let serving: Task<Void, Never>
    private let heads: Heads

    private final class Heads: Sendable {
        let all = Mutex<[String]>([])
    }

    /// - Parameter script: Called for each request with its head; the connection closes when it throws or returns false.
    init(_ script: @escaping @Sendable (Connection, _ head: String) async throws -> Bool) async throws {
        let heads = Heads()
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            // Accepted connections inherit these: what is on its way is to be in the relay, not in the kernel.
            .serverChannelOption(.socketOption(.so_rcvbuf), value: 1 << 17)
            .serverChannelOption(.socketOption(.so_sndbuf), value: 1 << 17)
            .bind(host: "127.0.0.1", port: 0) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
                }
            }
        (self.listener, self.heads) = (listener, heads)
        serving = Task {
            await withDiscardingTaskGroup { group in
                try? await listener.executeThenClose { connections in
                    for try await connection in connections {
                        group.addTask {
                            try? await connection.executeThenClose { inbound, _ in
                                let peer = Connection(inbound.makeAsyncIterator(), connection.channel)
                                while let head = try await peer.head() {
                                    heads.all.withLock { $0.append(head) }
                                    guard try await script(peer, head) else { return }
                                }
                            }
                        }
                    }
                }
                group.cancelAll()
            }
        }
    }

    var port: Int { listener.channel.localAddress?.port ?? 0 }
    var url: String { "http://127.0.0.1:\(port)" }

    /// The heads of all requests so far.
    var requests: [String] { heads.all.withLock { $0 } }

    func stop() async {
        serving.cancel()
        try? await listener.channel.close()
        await serving.value
    }
}

/// Runs an upstream for the length of a test.
func withUpstream(
    _ script: @escaping @Sendable (TestUpstream.Connection, _ head: String) async throws -> Bool,
    _ body: (TestUpstream) async throws -> Void
) async throws {
    let upstream = try await TestUpstream(script)
    do {
        try await body(upstream)
    } catch {
        await upstream.stop()
        throw error
    }
    await upstream.stop()
}
