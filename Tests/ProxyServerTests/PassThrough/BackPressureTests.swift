import NIOCore
import Testing
import Upstream

@testable import ProxyServer

@Suite("Back-pressure", .serialized)
struct BackPressureTests {
    private static let totalBytes = 256 << 20
    private static let piece = ByteBuffer(repeating: UInt8(ascii: "x"), count: 1 << 18)
    /// What client, relay and upstream may take together, as they all live in this process.
    private static let maxMemoryBytes = 64 << 20

    /// The last bytes of a stream, however it was cut.
    private struct Ending {
        private var tail = ""

        mutating func add(_ bytes: ByteBuffer) {
            var last = bytes
            last.moveReaderIndex(to: max(last.readerIndex, last.writerIndex - 5))
            tail = String((tail + String(buffer: last)).utf8.suffix(5)) ?? ""
        }

        var isLastChunk: Bool { tail == "0\r\n\r\n" }
    }

    /// No stall of this test is the upstream's.
    private func patient(_ server: inout ServerConfiguration, _ upstream: inout UpstreamConfiguration) {
        upstream.requestTimeout = .seconds(3600)
    }

    @Test("a reply much larger than memory waits for the client", arguments: [true, false])
    func download(hasLength: Bool) async throws {
        let memory = try PeakMemory()
        let sent = ByteCount()
        let framing = hasLength ? "Content-Length: \(Self.totalBytes)" : "Transfer-Encoding: chunked"
        try await withUpstream { peer, _ in
            try await peer.write("HTTP/1.1 200 OK\r\n\(framing)\r\n\r\n")
            while sent.value < Self.totalBytes {
                if !hasLength { try await peer.write("40000\r\n") }
                try await peer.write(Self.piece)
                if !hasLength { try await peer.write("\r\n") }
                sent.add(Self.piece.readableBytes)
            }
            if !hasLength { try await peer.write("0\r\n\r\n") }
            return true
        } _: { upstream in
            try await withServer(upstream: upstream.url, adjust: patient) { port, _ in
                try await RawClient.with(port: port) { client in
                    try await client.send("GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    _ = await client.head()
                    // The client does not read: the upstream must come to a stop.
                    try await sent.settled(limit: Self.totalBytes)
                    #expect(sent.value < Self.totalBytes)
                    var received = 0
                    var ending = Ending()
                    while hasLength ? received < Self.totalBytes : !ending.isLastChunk, let bytes = await client.bytes()
                    {
                        received += bytes.readableBytes
                        ending.add(bytes)
                    }
                    // Chunks have a little around them.
                    #expect(hasLength ? received == Self.totalBytes : received > Self.totalBytes)
                }
            }
        }
        #expect(try memory.growth() < Self.maxMemoryBytes)
    }

    @Test("a request much larger than memory waits for the upstream", arguments: [true, false])
    func upload(hasLength: Bool) async throws {
        let memory = try PeakMemory()
        let sent = ByteCount()
        let received = ByteCount()
        let gate = Gate()
        try await withUpstream { peer, _ in
            try await gate.passed()
            var ending = Ending()
            while hasLength ? received.value < Self.totalBytes : !ending.isLastChunk, let bytes = try await peer.bytes()
            {
                received.add(bytes.readableBytes)
                ending.add(bytes)
            }
            try await peer.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone")
            return true
        } _: { upstream in
            try await withServer(upstream: upstream.url, adjust: patient) { port, _ in
                try await RawClient.with(port: port) { client in
                    let framing = hasLength ? "Content-Length: \(Self.totalBytes)" : "Transfer-Encoding: chunked"
                    try await client.send("POST /large HTTP/1.1\r\nHost: localhost\r\n\(framing)\r\n\r\n")
                    async let stopped: Int = {
                        // The upstream does not read: the client must come to a stop.
                        try await sent.settled(limit: Self.totalBytes)
                        let count = sent.value
                        gate.open()
                        return count
                    }()
                    while sent.value < Self.totalBytes {
                        if !hasLength { try await client.send("40000\r\n") }
                        try await client.send(Self.piece)
                        if !hasLength { try await client.send("\r\n") }
                        sent.add(Self.piece.readableBytes)
                    }
                    if !hasLength { try await client.send("0\r\n\r\n") }
                    #expect(try await client.reply().body == "done")
                    #expect(try await stopped < Self.totalBytes)
                    #expect(hasLength ? received.value == Self.totalBytes : received.value > Self.totalBytes)
                }
            }
        }
        #expect(try memory.growth() < Self.maxMemoryBytes)
    }
}
