import NIOCore
import NIOPosix
import TestSupport

/// A client that sends and reads bytes as they are.
final class RawClient {
    /// A reply as it came.
    struct RawReply {
        var head: String
        var body: String
        /// Whether the body was as long as it said.
        var isWhole: Bool

        var status: Int { Int(head.dropFirst(9).prefix(3)) ?? 0 }

        func field(_ name: String) -> String? { fields(name).first }

        func fields(_ name: String) -> [String] {
            head.split(separator: "\r\n").dropFirst().compactMap { line in
                let parts = line.split(separator: ":", maxSplits: 1)
                guard parts.count == 2, parts[0].lowercased() == name.lowercased() else { return nil }
                return String(parts[1].drop { $0 == " " })
            }
        }
    }

    private var inbound: NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator
    private let outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
    private let channel: any Channel
    private var unread = ByteBuffer()

    private init(
        _ inbound: NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator,
        _ outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>,
        _ channel: any Channel
    ) {
        self.inbound = inbound
        self.outbound = outbound
        self.channel = channel
    }

    static func with(port: Int, _ body: (RawClient) async throws -> Void) async throws {
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .channelOption(.socketOption(.so_rcvbuf), value: 1 << 17)
            .channelOption(.socketOption(.so_sndbuf), value: 1 << 17)
            .connect(host: "127.0.0.1", port: port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try NIOAsyncChannel<ByteBuffer, ByteBuffer>(
                        wrappingChannelSynchronously: channel,
                        configuration: .init(isOutboundHalfClosureEnabled: true)
                    )
                }
            }
        try await channel.executeThenClose { inbound, outbound in
            try await body(RawClient(inbound.makeAsyncIterator(), outbound, channel.channel))
        }
    }

    /// Sends one request and reads its reply.
    static func exchange(port: Int, _ request: String) async throws -> RawReply {
        var reply: RawReply?
        try await with(port: port) { client in
            try await client.send(request)
            reply = try await client.reply(toHead: request.hasPrefix("HEAD"))
        }
        guard let reply else { throw DeadlinePassed(description: "no reply") }
        return reply
    }

    func send(_ text: String) async throws { try await send(ByteBuffer(string: text)) }

    /// Returns when the kernel has taken everything.
    func send(_ bytes: ByteBuffer) async throws { try await channel.writeAndFlush(bytes) }

    /// Sends no more, but still reads.
    func sendEnd() { outbound.finish() }

    /// Goes away without a farewell.
    func vanish() async throws { try await channel.close() }

    /// Some bytes; nil when the relay has closed or reset the connection.
    func bytes() async -> ByteBuffer? {
        if unread.readableBytes > 0 {
            defer { unread = ByteBuffer() }
            return unread
        }
        return try? await inbound.next()
    }

    /// Whether the connection ends, with nothing more coming.
    func isClosed() async -> Bool { await bytes() == nil }

    private func fill() async -> Bool {
        guard let more = try? await inbound.next() else { return false }
        unread.writeImmutableBuffer(more)
        return true
    }

    /// A head alone, with the empty line; nil when the connection ends before one.
    func head() async -> String? {
        while true {
            let text = String(buffer: unread)
            if let end = text.firstRange(of: "\r\n\r\n") {
                let head = String(text[..<end.upperBound])
                unread.moveReaderIndex(forwardBy: head.utf8.count)
                return head
            }
            guard await fill() else { return nil }
        }
    }

    /// A whole reply, or as much of one as came.
    func reply(toHead: Bool = false) async throws -> RawReply {
        guard let head = await head() else { throw DeadlinePassed(description: "no reply") }
        var reply = RawReply(head: head, body: "", isWhole: true)
        if toHead || [204, 304].contains(reply.status) { return reply }
        if let length = reply.field("Content-Length").flatMap(Int.init) {
            while unread.readableBytes < length {
                guard await fill() else {
                    reply.body = String(buffer: unread)
                    reply.isWhole = false
                    return reply
                }
            }
            reply.body = unread.readString(length: length) ?? ""
        } else if reply.field("Transfer-Encoding") == "chunked" {
            (reply.body, reply.isWhole) = await chunks()
        } else {
            while await fill() {}
            reply.body = unread.readString(length: unread.readableBytes) ?? ""
        }
        return reply
    }

    private func line() async -> String? {
        while true {
            if let end = unread.readableBytesView.firstIndex(of: UInt8(ascii: "\n")) {
                let line = unread.readString(length: end - unread.readerIndex + 1)
                return line.map { String($0.dropLast(1)) }?.replacing("\r", with: "")
            }
            guard await fill() else { return nil }
        }
    }

    private func chunks() async -> (String, Bool) {
        var body = ""
        while let size = await line().flatMap({ Int($0, radix: 16) }) {
            while unread.readableBytes < size + 2 { guard await fill() else { return (body, false) } }
            body += unread.readString(length: size) ?? ""
            unread.moveReaderIndex(forwardBy: 2)
            if size == 0 { return (body, true) }
        }
        return (body, false)
    }
}
