import Foundation
import NIOCore
import NIOEmbedded

@testable import ProxyServer

/// A connection without a network: bytes in, bytes out, seconds by hand.
final class ConnectionFixture {
    /// The server's parts are the same for all of these tests; none of them reaches the outbox or the upstream.
    static let parts: TestParts = {
        guard let parts = try? TestParts() else { preconditionFailure("the parts of a server can be made") }
        removedAtExit = parts.directory.path
        atexit { try? FileManager.default.removeItem(atPath: removedAtExit) }
        return parts
    }()
    /// Written once, before `atexit` can read it.
    nonisolated(unsafe) private static var removedAtExit = ""

    let channel: EmbeddedChannel
    let loop: EventLoopContext
    var exchanges: [NotingExchange] = []
    /// Answers at once when it returns true.
    var serve: (NotingExchange) -> Void = { _ in }

    var exchange: NotingExchange { exchanges[exchanges.count - 1] }

    init(maxHeadBytes: Int = 16 * 1024, idleTimeoutSeconds: Int = 75, headTimeoutSeconds: Int = 10) throws {
        var configuration = ServerConfiguration()
        configuration.idleTimeoutSeconds = idleTimeoutSeconds
        configuration.headTimeoutSeconds = headTimeoutSeconds
        channel = EmbeddedChannel()
        loop = EventLoopContext(eventLoop: channel.eventLoop, wallSeconds: { 784_111_777 })
        configuration.maxHeadBytes = maxHeadBytes
        let router = ScriptedRouter(eventLoop: channel.eventLoop) { [weak self] head, connection in
            guard let self else { return }
            let exchange = NotingExchange(head, connection)
            exchanges.append(exchange)
            connection.serve(with: exchange)
            serve(exchange)
        }
        try channel.pipeline.syncOperations.addHandler(
            ConnectionHandler(server: Self.parts.core(configuration), loop: loop, router: router)
        )
        try channel.connect(to: SocketAddress(unixDomainSocketPath: "/fixture")).wait()
    }

    /// Hands bytes to the connection in one read.
    func receive(_ text: String) { receive(ByteBuffer(string: text)) }

    func receive(_ bytes: ByteBuffer) {
        channel.pipeline.fireChannelRead(bytes)
        channel.pipeline.fireChannelReadComplete()
    }

    func closeInput() { channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed) }

    /// The client is gone.
    func hangUp() { _ = try? channel.finish() }

    func setWritable(_ isWritable: Bool) {
        channel.isWritable = isWritable
        channel.pipeline.fireChannelWritabilityChanged()
    }

    func tick(_ seconds: Int) { for _ in 0..<seconds { loop.tick() } }

    /// Everything that was sent since the last call.
    func sent() throws -> String {
        channel.embeddedEventLoop.run()
        var text = ""
        while let bytes = try channel.readOutbound(as: ByteBuffer.self) { text += String(buffer: bytes) }
        return text
    }

    var isOpen: Bool {
        channel.embeddedEventLoop.run()
        return channel.isActive
    }
}

extension String {
    /// The status codes of the replies in a text, in order.
    var statuses: [Int] {
        split(separator: "HTTP/1.1 ").compactMap { Int($0.prefix(3)) }
    }

    func occurrences(of text: String) -> Int { ranges(of: text).count }
}
