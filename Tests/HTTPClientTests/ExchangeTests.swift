import NIOCore
import NIOEmbedded
import NIOHTTP1
import Testing

@testable import HTTPClient

@Suite("Exchange")
struct ExchangeTests {
    private static let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

    @Test("a request goes out as bytes, and its reply comes back")
    func exchange() throws {
        let pool = ScriptedPool()
        let request = OutboundRequest(
            method: "PUT",
            target: "/x?y=%7e",
            headers: ["Host": "evil", "X-Name": "caf\u{e9}", "Content-Length": "9", "Connection": "close"],
            body: .whole(ByteBuffer(string: "body"))
        )
        let outcome = try pool.send(request).outcome
        let channel = pool.channels[0]
        let sent = try #require(try channel.readOutbound(as: ByteBuffer.self))
        let expected = "PUT /x?y=%7e HTTP/1.1\r\nHost: api.test\r\nX-Name: caf\u{e9}\r\nContent-Length: 4\r\n\r\nbody"
        #expect(Array(sent.readableBytesView) == expected.unicodeScalars.map { UInt8($0.value) })
        try pool.reply(Self.ok)
        #expect(outcome.head?.status == 200 && outcome.text == "{}" && outcome.isWhole)
    }

    @Test(
        "the connection is kept when both sides are done and nobody says close",
        arguments: [
            (ok, true),
            ("HTTP/1.1 204 No\r\n\r\n", true),
            ("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}", false),
            ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", false),
            ("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n{}", true),
            (ok + "HTTP/1.1 200 OK\r\n", false),
            ("HTTP/1.1 204 No\r\nContent-Length: 2\r\n\r\n{}", false),
            ("HTTP/1.1 103 Hints\r\nConnection: close\r\n\r\n" + ok, true),
        ]
    )
    func keepAlive(reply: String, isKept: Bool) throws {
        let pool = ScriptedPool()
        let outcome = try pool.get()
        try pool.reply(reply)
        #expect(outcome.isWhole)
        #expect(pool.isOpen(0) == isKept)
        let second = try pool.get("/2")
        #expect(pool.channels.count == (isKept ? 1 : 2))
        try pool.reply(Self.ok)
        #expect(second.isWhole)
    }

    @Test("bytes that nobody asked for cost an idle connection")
    func unsolicited() throws {
        let pool = ScriptedPool()
        _ = try pool.get()
        try pool.reply(Self.ok)
        try pool.reply("HTTP/1.1 408 Bye\r\n\r\n")
        #expect(!pool.isOpen(0))
    }

    @Test("a body without a length ends with the connection")
    func untilClose() throws {
        let pool = ScriptedPool()
        let outcome = try pool.get()
        try pool.reply("HTTP/1.1 200 OK\r\n\r\nabc")
        #expect(!outcome.isWhole)
        pool.close()
        #expect(outcome.isWhole && outcome.text == "abc")
    }

    @Test(
        "a reply that is none fails its exchange",
        arguments: [
            "HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n", "HTTP/1.1 099 Odd\r\n\r\n", "SSH-2.0\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        ]
    )
    func malformed(reply: String) throws {
        let pool = ScriptedPool()
        let outcome = try pool.get()
        try pool.reply(reply)
        #expect(outcome.failure?.code == .malformedReply)
        #expect(outcome.failure?.mayHaveTakenEffect == true)
        #expect(!pool.isOpen(0))
    }

    @Test("interim replies are handed on but 100, and do not stretch the time")
    func interim() throws {
        for timeout in [TimeAmount.seconds(2), nil] {
            let pool = ScriptedPool { $0.requestTimeout = .seconds(10) }
            let outcome = try pool.get(timeout: timeout)
            for _ in 0..<30 where !outcome.isOver {
                try pool.reply("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")
                pool.loop.advanceTime(by: .milliseconds(500))
            }
            #expect(outcome.failure?.code == .timeout)
            #expect(outcome.interim.count == (timeout == nil ? 20 : 4))
            #expect(outcome.interim.allSatisfy { $0 == 102 })
            #expect(!pool.isOpen(0))
        }
    }

    @Test("a 304 is marked unless a condition asked for it")
    func notModified() throws {
        let pool = ScriptedPool()
        let plain = try pool.get()
        try pool.reply("HTTP/1.1 304 Not Modified\r\n\r\n")
        #expect(plain.head?.isUnaskedNotModified == true)
        let conditional = OutboundRequest(method: "GET", target: "/", headers: ["If-None-Match": "\"x\""])
        let outcome = try pool.send(conditional).outcome
        try pool.reply("HTTP/1.1 304 Not Modified\r\n\r\n")
        #expect(outcome.head?.isUnaskedNotModified == false)
    }

    @Test("a safe request whose used connection breaks goes out once more, on a fresh one, and only once")
    func stale() throws {
        let pool = ScriptedPool()
        _ = try pool.get()
        try pool.reply(Self.ok)
        let outcome = try pool.get("/2")
        #expect(pool.channels.count == 1)
        pool.close(0)
        #expect(pool.channels.count == 2)
        #expect(try pool.sent().hasPrefix("GET /2 "))
        pool.close(1)
        #expect(pool.channels.count == 2)
        #expect(outcome.failure?.code == .connectionReset)
    }

    @Test("a write is not repeated, and its failure says that the connection was stale")
    func staleWrite() throws {
        let pool = ScriptedPool()
        _ = try pool.get()
        try pool.reply(Self.ok)
        let outcome = try pool.send(OutboundRequest(method: "DELETE", target: "/")).outcome
        pool.close(0)
        #expect(pool.channels.count == 1)
        #expect(outcome.failure?.isStaleConnection == true)
        #expect(outcome.failure?.mayHaveTakenEffect == true)
        let fresh = try pool.send(OutboundRequest(method: "DELETE", target: "/")).outcome
        pool.close(1)
        #expect(fresh.failure?.isStaleConnection == false)
    }

    @Test("a stale connection costs those that rest beside it")
    func staleNeighbours() throws {
        let pool = ScriptedPool()
        let first = try pool.get("/1")
        let second = try pool.get("/2")
        try pool.reply(Self.ok, on: 0)
        try pool.reply(Self.ok, on: 1)
        #expect(first.isWhole && second.isWhole)
        _ = try pool.send(OutboundRequest(method: "PUT", target: "/")).outcome
        pool.close(1)
        #expect(!pool.isOpen(0))
        _ = try pool.send(OutboundRequest(method: "PUT", target: "/")).outcome
        #expect(pool.channels.count == 3)
    }

    @Test("a safe request whose reply has begun is not repeated")
    func brokenReply() throws {
        let pool = ScriptedPool()
        _ = try pool.get()
        try pool.reply(Self.ok)
        let outcome = try pool.get()
        try pool.reply("HTTP/1.1 2")
        pool.close(0)
        #expect(pool.channels.count == 1)
        #expect(outcome.failure?.code == .connectionReset)
    }

    @Test("a connection rests as long as its peer lets it, and no longer than the configuration says")
    func rest() throws {
        for (field, seconds) in [("", Int64(4)), ("Keep-Alive: timeout=2\r\n", 1), ("Keep-Alive: timeout=60\r\n", 4)] {
            let pool = ScriptedPool()
            _ = try pool.get()
            try pool.reply("HTTP/1.1 200 OK\r\n\(field)Content-Length: 0\r\n\r\n")
            pool.loop.advanceTime(by: .seconds(seconds) - .milliseconds(1))
            #expect(pool.isOpen(0))
            pool.loop.advanceTime(by: .milliseconds(1))
            #expect(!pool.isOpen(0))
        }
    }

    @Test("a connection that is old enough is not used again")
    func age() throws {
        let pool = ScriptedPool { $0.maxAge = .seconds(5) }
        for _ in 0..<3 {
            _ = try pool.get()
            try pool.reply(Self.ok, on: 0)
            pool.loop.advanceTime(by: .seconds(2))
        }
        #expect(!pool.isOpen(0))
        _ = try pool.get()
        #expect(pool.channels.count == 2)
    }

    @Test("a request waits for a place no longer than its time, and says so")
    func saturation() throws {
        let pool = ScriptedPool {
            $0.maxConnections = 1
            $0.maxWaiting = 1
        }
        _ = try pool.get(timeout: .seconds(60))
        let waiting = try pool.get(timeout: .seconds(5))
        let refused = try pool.get()
        #expect(refused.failure?.code == .saturated)
        pool.loop.advanceTime(by: .seconds(5))
        #expect(waiting.failure?.code == .saturated)
        #expect(waiting.failure?.mayHaveTakenEffect == false)
    }

    @Test("slow uploads of one class leave connections for the others")
    func classes() throws {
        let pool = ScriptedPool()
        var uploads: [RecordedExchange] = []
        for _ in 0..<64 {
            let upload = OutboundRequest(method: "POST", target: "/", body: .pieces(length: 1_000_000))
            uploads.append(try pool.send(upload, timeout: nil).outcome)
        }
        let before = pool.channels.count
        for traffic in [TrafficClass.delivery, .read, .confirmation] {
            let outcome = try pool.send(OutboundRequest(method: "GET", target: "/", traffic: traffic)).outcome
            try pool.reply(Self.ok)
            #expect(outcome.isWhole)
        }
        #expect(before < 32)
        #expect(uploads.allSatisfy { !$0.isOver })
    }

    @Test("a body goes out in chunks, or as many bytes as were announced")
    func upload() throws {
        let pool = ScriptedPool()
        let (chunks, chunked) = try pool.send(OutboundRequest(method: "POST", target: "/", body: .pieces(length: nil)))
        #expect(chunked.writableCount > 0)
        chunks.write(ByteBuffer(string: "abc"))
        chunks.finishBody()
        #expect(try pool.sent().hasSuffix("Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"))
        try pool.reply(Self.ok)
        #expect(chunked.isWhole && pool.isOpen(0))
        for (bytes, isRight) in [("ab", false), ("abc", true), ("abcd", false)] {
            let upload = OutboundRequest(method: "POST", target: "/", body: .pieces(length: 3))
            let (exchange, outcome) = try pool.send(upload)
            exchange.write(ByteBuffer(string: bytes))
            exchange.finishBody()
            if isRight { try pool.reply(Self.ok) }
            #expect(outcome.isWhole == isRight)
            #expect((outcome.failure?.code == .cancelled) != isRight)
        }
    }

    @Test("a reply that comes before the request is whole is a reply, and costs the connection")
    func earlyReply() throws {
        let pool = ScriptedPool()
        let (exchange, outcome) = try pool.send(
            OutboundRequest(method: "POST", target: "/", body: .pieces(length: 1000))
        )
        exchange.write(ByteBuffer(string: "abc"))
        try pool.reply("HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n")
        #expect(outcome.head?.status == 413 && outcome.isWhole)
        #expect(!pool.isOpen(0))
        exchange.write(ByteBuffer(string: "abc"))
        exchange.finishBody()
    }

    @Test("time stands still for a reader that pauses, and not for a peer that does")
    func pause() throws {
        let pool = ScriptedPool()
        let (exchange, outcome) = try pool.send(OutboundRequest(method: "GET", target: "/"), timeout: nil)
        try pool.reply("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        exchange.pauseReading()
        pool.loop.advanceTime(by: .minutes(10))
        #expect(!outcome.isOver)
        exchange.resumeReading()
        pool.loop.advanceTime(by: .seconds(9))
        #expect(!outcome.isOver)
        pool.loop.advanceTime(by: .seconds(1))
        #expect(outcome.failure?.code == .timeout)
    }

    @Test("an exchange that is cancelled in the middle of its reply ends there")
    func cancelledWithin() throws {
        let pool = ScriptedPool()
        let (exchange, outcome) = try pool.send(OutboundRequest(method: "GET", target: "/"))
        outcome.onBody = { exchange.cancel() }
        try pool.reply("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n")
        #expect(outcome.text == "a")
        #expect(outcome.failure?.code == .cancelled)
        #expect(!outcome.isWhole && !pool.isOpen(0))
    }

    @Test("each of many requests that wait in vain for a connection hears of it")
    func refused() throws {
        let pool = ScriptedPool()
        pool.refuses = true
        let outcomes = try (0..<100).map { _ in try pool.get() }
        #expect(outcomes.allSatisfy { $0.failure?.code == .unreachable && $0.failure?.mayHaveTakenEffect == false })
    }

    @Test("a shutdown ends what is under way, what waits, and what comes later")
    func shutdown() throws {
        let pool = ScriptedPool { $0.maxConnections = 1 }
        let running = try pool.get()
        let waiting = try pool.get()
        var isDown = false
        pool.pool.shutDown { isDown = true }
        pool.loop.run()
        let late = try pool.get()
        #expect(running.failure == .some(.shutdown(mayHaveTakenEffect: true)))
        #expect(waiting.failure?.code == .shutdown && waiting.failure?.mayHaveTakenEffect == false)
        #expect(late.failure?.code == .shutdown)
        #expect(isDown && !pool.isOpen(0))
    }

    @Test("a retired pool lets what is under way end, and keeps nothing")
    func retire() throws {
        let pool = ScriptedPool()
        let running = try pool.get()
        pool.pool.retire()
        try pool.reply(Self.ok)
        #expect(running.isWhole)
        #expect(!pool.isOpen(0))
    }
}
