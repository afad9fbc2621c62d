import NIOCore
import NIOPosix
import Testing
import Upstream

@testable import ProxyServer

/// What only real sockets show.
@Suite("Connections over sockets")
struct SocketTests {
    @Test("a client gets its 413 although it sends much more than anybody reads")
    func earlyRefusal() async throws {
        try await withServer(upstream: "http://127.0.0.1:9") { port, _ in
            try await RawClient.with(port: port) { client in
                let path =
                    "/v1/audiences/6a0d5bd5-8c4b-4d3a-9b37-0c6a3c3a4a01/contacts/0f8fad5b-d9cb-469f-a165-70867728950e"
                try await client.send(
                    "PUT \(path) HTTP/1.1\r\nHost: localhost\r\nX-Dexatel-Key: k\r\nContent-Type: application/json\r\n"
                        + "Content-Length: 700000\r\n\r\n"
                )
                try await client.send(ByteBuffer(repeating: 0x20, count: 700_000))
                let reply = try await client.reply()
                #expect(reply.status == 413 && reply.isWhole)
                #expect(await client.isClosed())
            }
        }
    }

    @Test("a client that sends no more gets its reply from the upstream")
    func halfClose() async throws {
        try await withUpstream { peer, _ in
            try await peer.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            return true
        } _: { upstream in
            try await withServer(upstream: upstream.url) { port, _ in
                try await RawClient.with(port: port) { client in
                    try await client.send("GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    client.sendEnd()
                    #expect(try await client.reply().body == "ok")
                    #expect(await client.isClosed())
                }
            }
        }
    }

    @Test("a reply to HTTP/1.0 that breaks off is reset, as its end is the connection's")
    func resetForHTTP10() async throws {
        try await withUpstream { peer, _ in
            try await peer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
            return false
        } _: { upstream in
            try await withServer(upstream: upstream.url) { port, _ in
                let ended = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                    .connect(host: "127.0.0.1", port: port) { channel in
                        channel.eventLoop.makeCompletedFuture {
                            try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
                        }
                    }
                try await ended.executeThenClose { inbound, outbound in
                    try await outbound.write(ByteBuffer(string: "GET /a HTTP/1.0\r\n\r\n"))
                    await #expect(throws: IOError.self) { for try await _ in inbound {} }
                }
            }
        }
    }

    @Test("a client that does not read its reply is closed after listen.idle_timeout")
    func stalledReader() async throws {
        try await withUpstream { peer, _ in
            try await peer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while true {
                try await peer.write("10000\r\n" + String(repeating: "x", count: 0x1_0000) + "\r\n")
            }
        } _: { upstream in
            try await withServer(upstream: upstream.url) { server, upstream in
                server.idleTimeoutSeconds = 1
                upstream.requestTimeout = .seconds(3600)
            } _: { port, _ in
                try await RawClient.with(port: port) { client in
                    try await client.send("GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    _ = await client.head()
                    // The upstream's script, which never ends by itself, ends with its connection.
                    await upstream.stop()
                }
            }
        }
    }
}
