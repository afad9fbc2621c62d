import NIOCore
import Synchronization
import TestSupport
import Testing
import Upstream

@testable import ProxyServer

@Suite("Pass-through")
struct PassThroughTests {
    private static let post = "POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n"

    /// Answers every request with the same bytes.
    private func withReply(
        _ reply: String,
        closes: Bool = false,
        _ body: (_ port: Int, _ upstream: TestUpstream) async throws -> Void
    ) async throws {
        try await withUpstream { peer, head in
            if head.contains("Content-Length: 2\r\n") { _ = try await peer.bytes() }
            try await peer.write(reply)
            return !closes
        } _: { upstream in
            try await withServer(upstream: upstream.url) { port, _ in try await body(port, upstream) }
        }
    }

    /// An upstream that takes requests and answers none.
    private func withSilentUpstream(_ body: (_ port: Int, _ parts: TestParts) async throws -> Void) async throws {
        try await withUpstream { peer, _ in
            await peer.closed()
            return false
        } _: { upstream in
            try await withServer(upstream: upstream.url) {
                $1.requestTimeout = .seconds(1)
            } _: { port, parts in
                try await body(port, parts)
            }
        }
    }

    @Test("request and reply go through with their end-to-end fields and without hop-by-hop ones")
    func hygiene() async throws {
        let reply =
            "HTTP/1.1 201 Created\r\nContent-Length: 4\r\nX-Up: 1\r\nX-Hop: 2\r\nConnection: X-Hop\r\n"
            + "Keep-Alive: timeout=5\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\nbody"
        try await withReply(reply) { port, upstream in
            let answer = try await RawClient.exchange(
                port: port,
                Self.post + "X-Dexatel-Key: secret\r\nX-Mine: a\r\nX-Drop: b\r\nConnection: X-Drop\r\nTE: trailers\r\n"
                    + "Upgrade: h2c\r\n\r\nhi"
            )
            #expect(answer.status == 201)
            #expect(answer.body == "body" && answer.isWhole)
            #expect(answer.field("X-Up") == "1")
            for name in ["X-Hop", "Keep-Alive", "Connection"] { #expect(answer.field(name) == nil) }
            #expect(answer.field("Via") == "1.1 contact-relay")
            #expect(answer.fields("Date") == ["Sun, 06 Nov 1994 08:49:37 GMT"])
            #expect(answer.fields("Content-Length") == ["4"])
            #expect(answer.field("Contact-Relay-Error") == nil && answer.field("Contact-Relay-Pending") == nil)
            let sent = RawClient.RawReply(head: upstream.requests.first ?? "", body: "", isWhole: true)
            #expect(sent.head.hasPrefix("POST /v1/messages HTTP/1.1\r\n"))
            #expect(sent.fields("Host") == ["127.0.0.1:\(upstream.port)"])
            #expect(sent.fields("X-Dexatel-Key") == ["secret"])
            #expect(sent.field("X-Mine") == "a" && sent.field("Via") == "1.1 contact-relay \(HeaderHygiene.instance)")
            for name in ["X-Drop", "TE", "Upgrade"] { #expect(sent.field(name) == nil) }
        }
    }

    @Test("interim replies reach a client of HTTP/1.1 in order, and none of HTTP/1.0", arguments: ["1.1", "1.0"])
    func interim(version: String) async throws {
        let reply =
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\n"
            + "Link: </x>\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
        try await withReply(reply) { port, _ in
            for line in ["POST /v1/messages", "GET /v1/messages"] {
                var text = ""
                try await RawClient.with(port: port) { client in
                    try await client.send("\(line) HTTP/\(version)\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                    while let bytes = await client.bytes() { text += String(buffer: bytes) }
                }
                let statuses = text.split(separator: "HTTP/1.1 ").map { $0.prefix(3) }
                #expect(statuses == (version == "1.1" ? ["102", "103", "200"] : ["200"]))
                #expect(text.contains("\r\nLink: </x>\r\n\r\n") == (version == "1.1"))
            }
        }
    }

    @Test("a request without a key is passed through, absolute form by its path, byte for byte")
    func absoluteForm() async throws {
        try await withReply("HTTP/1.1 204 No Content\r\n\r\n") { port, upstream in
            let target = "/v1/things/a%2Fb?filter[x]=%20y"
            let answer = try await RawClient.exchange(
                port: port,
                "DELETE http://localhost:81\(target) HTTP/1.1\r\nHost: localhost\r\n\r\n"
            )
            #expect(answer.status == 204)
            #expect(answer.field("Content-Length") == nil && answer.field("Transfer-Encoding") == nil)
            #expect(upstream.requests.first?.hasPrefix("DELETE \(target) HTTP/1.1\r\n") == true)
            #expect(upstream.requests.first?.contains("X-Dexatel-Key") == false)
        }
    }

    @Test("a reply of unknown length reaches HTTP/1.1 in chunks and HTTP/1.0 until the close")
    func unknownLength() async throws {
        let reply = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        try await withReply(reply) { port, _ in
            let new = try await RawClient.exchange(port: port, "GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n")
            #expect(new.body == "abcde" && new.isWhole && new.field("Transfer-Encoding") == "chunked")
            let old = try await RawClient.exchange(port: port, "GET /a HTTP/1.0\r\n\r\n")
            #expect(old.body == "abcde" && old.field("Transfer-Encoding") == nil && old.field("Connection") == "close")
        }
    }

    @Test("a reply to HEAD keeps its length, and the connection goes on")
    func headRequest() async throws {
        try await withReply("HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n") { port, _ in
            try await RawClient.with(port: port) { client in
                for _ in 0..<2 {
                    try await client.send("HEAD /v1/messages HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    #expect(try await client.reply(toHead: true).field("Content-Length") == "1234")
                }
            }
        }
    }

    @Test("a body in chunks goes up in chunks, and keep-alive connections serve many requests")
    func chunkedBody() async throws {
        try await withUpstream { peer, head in
            #expect(head.lowercased().contains("transfer-encoding: chunked"))
            let body = try await peer.text(endingWith: "0\r\n\r\n")
            let letters = body.filter { "xyz".contains($0) }
            try await peer.write("HTTP/1.1 200 OK\r\nContent-Length: \(letters.utf8.count)\r\n\r\n\(letters)")
            return true
        } _: { upstream in
            try await withServer(upstream: upstream.url) { port, _ in
                try await RawClient.with(port: port) { client in
                    for _ in 0..<3 {
                        try await client.send(
                            "POST /a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nxy\r\n"
                        )
                        try await client.send("1\r\nz\r\n0\r\n\r\n")
                        #expect(try await client.reply().body == "xyz")
                    }
                }
            }
        }
    }

    @Test("a client that waits for 100 is asked for its body once the upstream has the head")
    func expectContinue() async throws {
        try await withUpstream { peer, head in
            #expect(!head.lowercased().contains("expect:"))
            let body = try await peer.text(endingWith: "hi")
            try await peer.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\(body)")
            return true
        } _: { upstream in
            try await withServer(upstream: upstream.url) { port, _ in
                try await RawClient.with(port: port) { client in
                    try await client.send(Self.post + "Expect: 100-continue\r\n\r\n")
                    #expect(await client.head() == "HTTP/1.1 100 Continue\r\n\r\n")
                    try await client.send("hi")
                    #expect(try await client.reply().body == "hi")
                }
            }
        }
    }

    @Test("an upstream that nobody answers at is 503 at once, without asking for the body")
    func unreachable() async throws {
        try await withServer(upstream: "http://127.0.0.1:9") { port, parts in
            for _ in 0..<8 {
                let answer = try await RawClient.exchange(port: port, Self.post + "Expect: 100-continue\r\n\r\n")
                #expect(answer.status == 503)
                #expect(answer.field("Contact-Relay-Error") == "upstream_unreachable")
                #expect(answer.field("Retry-After").flatMap(Int.init).map { $0 >= 1 } == true)
                #expect(answer.body.contains(#""path":"/v1/messages""#))
            }
            // Every permit came back, and the breaker has learnt: nothing is even tried any more.
            #expect(parts.upstreamHealth.snapshot().state == "open")
            #expect(!parts.upstreamHealth.snapshot().isReachable)
        }
    }

    @Test("an upstream that does not answer is 504")
    func timeout() async throws {
        try await withSilentUpstream { port, parts in
            let answer = try await RawClient.exchange(port: port, Self.post + "\r\nhi")
            #expect(answer.status == 504)
            #expect(answer.field("Contact-Relay-Error") == "upstream_timeout")
            #expect(parts.upstreamHealth.snapshot().consecutiveFailures == 1)
        }
    }

    @Test("a client whose body does not come is 408, and the upstream not to blame")
    func slowClient() async throws {
        try await withSilentUpstream { port, parts in
            let answer = try await RawClient.exchange(port: port, Self.post + "\r\nh")
            #expect(answer.status == 408)
            #expect(parts.upstreamHealth.snapshot().consecutiveFailures == 0)
        }
    }

    @Test("an upstream that closes without a reply is 502")
    func brokenConnection() async throws {
        try await withReply("", closes: true) { port, _ in
            let answer = try await RawClient.exchange(port: port, Self.post + "\r\nhi")
            #expect(answer.status == 502)
            #expect(answer.field("Contact-Relay-Error") == "upstream_broke_off")
        }
    }

    @Test(
        "a reply that breaks off does not look complete to the client",
        arguments: ["Content-Length: 10\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"]
    )
    func brokenReply(rest: String) async throws {
        try await withReply("HTTP/1.1 200 OK\r\n" + rest, closes: true) { port, _ in
            let answer = try await RawClient.exchange(port: port, "GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n")
            #expect(answer.status == 200)
            #expect(!answer.isWhole)
        }
    }

    @Test("a client that hangs up takes the upstream's connection with it", arguments: [false, true])
    func hangUp(hasReply: Bool) async throws {
        let hasEnded = Mutex(false)
        try await withUpstream { peer, _ in
            if hasReply { try await peer.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc") }
            await peer.closed()
            hasEnded.withLock { $0 = true }
            return false
        } _: { upstream in
            try await withServer(upstream: upstream.url) {
                $1.requestTimeout = .seconds(3600)
            } _: { port, parts in
                try await RawClient.with(port: port) { client in
                    // The body is not complete: to go away now is no half-close.
                    try await client.send(Self.post + "\r\nh")
                    try await eventually("the request") { !upstream.requests.isEmpty }
                    if hasReply { #expect(await client.head() != nil) }
                    try await client.vanish()
                }
                // Stopping the upstream before would be what ends the connection.
                try await eventually("the upstream's connection ends") { hasEnded.withLock { $0 } }
                #expect(parts.upstreamHealth.snapshot().consecutiveFailures == 0)
            }
        }
    }

    @Test(
        "RFC 9110 §15.4.5 a 304 reaches only a client whose condition the upstream has seen",
        arguments: [
            ("GET /v1/senders", "", 502), ("GET /v1/senders", "If-None-Match: \"a\"\r\n", 502),
            ("HEAD /v1/senders", "", 502),
            ("DELETE /v1/messages/1", "", 502), ("GET /v1/senders", "If-Match: \"a\"\r\n", 304),
        ]
    )
    func unaskedNotModified(line: String, fields: String, status: Int) async throws {
        try await withReply("HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n") { port, upstream in
            let request = "\(line) HTTP/1.1\r\nHost: localhost\r\n\(fields)\r\n"
            let answer = try await RawClient.exchange(port: port, request)
            #expect(answer.status == status)
            #expect(answer.field("Contact-Relay-Error") == (status == 502 ? "upstream_not_http" : nil))
            #expect(upstream.requests.count == 1)
        }
    }

    @Test(
        "what must not be forwarded is refused",
        arguments: [
            ("TRACE /v1/messages", 405, "method_not_allowed"), ("CONNECT example.com:443", 405, "method_not_allowed"),
            ("GET *", 400, "target_malformed"),
            ("GET ftp://x/y", 400, "target_malformed"),
        ]
    )
    func refusals(line: String, status: Int, slug: String) async throws {
        try await withReply("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") { port, upstream in
            let answer = try await RawClient.exchange(port: port, "\(line) HTTP/1.1\r\nHost: localhost\r\n\r\n")
            #expect(answer.status == status)
            #expect(answer.field("Contact-Relay-Error") == slug)
            #expect((answer.field("Allow") != nil) == (status == 405))
            #expect(upstream.requests.isEmpty)
        }
    }

    @Test(
        "OPTIONS about the relay itself is answered here",
        arguments: [("*", ""), ("*", "Max-Forwards: 7\r\n"), ("/v1/messages", "Max-Forwards: 0\r\n")]
    )
    func ownOptions(target: String, field: String) async throws {
        try await withReply("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") { port, upstream in
            let request = "OPTIONS \(target) HTTP/1.1\r\nHost: localhost\r\n\(field)\r\n"
            let answer = try await RawClient.exchange(port: port, request)
            #expect(answer.status == 200 && answer.fields("Content-Length") == ["0"])
            #expect(answer.field("Allow")?.contains("OPTIONS") == true)
            #expect(upstream.requests.isEmpty)
        }
    }

    @Test("pipelined requests come back in order")
    func pipelining() async throws {
        try await withUpstream { peer, head in
            let path = head.split(separator: " ")[1]
            try await peer.write("HTTP/1.1 200 OK\r\nContent-Length: \(path.utf8.count)\r\n\r\n\(path)")
            return true
        } _: { upstream in
            try await withServer(upstream: upstream.url) { port, _ in
                try await RawClient.with(port: port) { client in
                    try await client.send((0..<20).map { "GET /\($0) HTTP/1.1\r\nHost: localhost\r\n\r\n" }.joined())
                    for number in 0..<20 { #expect(try await client.reply().body == "/\(number)") }
                }
            }
        }
    }
}
