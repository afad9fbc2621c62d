import HTTPWire
import NIOCore
import NIOHTTP1
import TestSupport
import Testing

@testable import ProxyServer

@Suite("Connection handler")
struct ConnectionHandlerTests {
    private static let get = "GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n"

    @Test("pipelined requests are answered in their order, whether at once or later")
    func pipelining() throws {
        for seed in 0..<40 as Range<UInt64> {
            var generator = SeededGenerator(seed: seed)
            let fixture = try ConnectionFixture()
            var waiting: [NotingExchange] = []
            let late = (0..<12).map { _ in Bool.random(using: &generator) }
            fixture.serve = { exchange in
                let number = Int(exchange.head.target.dropFirst()) ?? 0
                if late[number] { waiting.append(exchange) } else { exchange.answer(200, "<\(number)>") }
            }
            let requests = (0..<12).map { "GET /\($0) HTTP/1.1\r\nHost: localhost\r\n\r\n" }.joined()
            // In pieces that end anywhere.
            var rest = requests[...]
            while !rest.isEmpty {
                let piece = rest.prefix(Int.random(in: 1...80, using: &generator))
                rest = rest.dropFirst(piece.count)
                fixture.receive(String(piece))
                if Bool.random(using: &generator), !waiting.isEmpty { waiting.removeFirst().answerByNumber() }
            }
            while !waiting.isEmpty { waiting.removeFirst().answerByNumber() }
            let bodies = try fixture.sent().split(separator: "<").dropFirst().map { $0.prefix { $0 != ">" } }
            #expect(bodies.map(String.init) == (0..<12).map(String.init), "seed \(seed)")
            fixture.hangUp()
        }
    }

    @Test(
        "the connection persists as RFC 9112 §9.3 says",
        arguments: [
            ("HTTP/1.1", "", true), ("HTTP/1.1", "Connection: close\r\n", false), ("HTTP/1.0", "", false),
            ("HTTP/1.0", "Connection: keep-alive\r\n", true),
        ]
    )
    func keepAlive(version: String, field: String, persists: Bool) throws {
        let fixture = try ConnectionFixture()
        fixture.serve = { $0.answer(200, "ok") }
        fixture.receive("GET /a \(version)\r\nHost: localhost\r\n\(field)\r\n")
        let reply = try fixture.sent()
        #expect(fixture.isOpen == persists)
        #expect(reply.contains("\r\nConnection: close\r\n") == !persists)
        #expect(reply.contains("\r\nConnection: keep-alive\r\n") == (persists && version == "HTTP/1.0"))
    }

    @Test("a reply to HEAD keeps its length and has no body")
    func headRequest() throws {
        let fixture = try ConnectionFixture()
        fixture.serve = { $0.answer(200, "four") }
        fixture.receive("HEAD /a HTTP/1.1\r\nHost: localhost\r\n\r\n" + Self.get)
        let sent = try fixture.sent()
        #expect(sent.statuses == [200, 200])
        #expect(sent.occurrences(of: "Content-Length: 4") == 2)
        #expect(sent.occurrences(of: "four") == 1)
    }

    @Test("after an early answer the rest of a small body is thrown away and the next request served")
    func earlyAnswer() throws {
        let fixture = try ConnectionFixture()
        fixture.serve = { $0.answer(413) }
        fixture.receive("PUT /a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n01234")
        fixture.receive("56789" + Self.get)
        #expect(try fixture.sent().statuses == [413, 413])
        #expect(fixture.exchanges.map(\.body) == ["", ""])
        #expect(fixture.isOpen)
    }

    @Test("after an early answer a large body, or one of unknown length, ends the connection, and the answer says so")
    func earlyAnswerToLargeBody() throws {
        for framing in ["Content-Length: 1000000000", "Transfer-Encoding: chunked"] {
            let fixture = try ConnectionFixture()
            fixture.serve = { $0.answer(413) }
            fixture.receive("PUT /a HTTP/1.1\r\nHost: localhost\r\n\(framing)\r\n\r\n1000000\r\n")
            for _ in 0..<200 where fixture.isOpen { fixture.receive(ByteBuffer(repeating: 0, count: 10_000)) }
            #expect(!fixture.isOpen)
            let sent = try fixture.sent()
            #expect(sent.statuses == [413] && sent.contains("Connection: close"))
        }
    }

    @Test("a client that sends no more still gets its answer")
    func halfClose() throws {
        let fixture = try ConnectionFixture()
        fixture.receive(Self.get)
        fixture.closeInput()
        #expect(fixture.isOpen)
        fixture.exchange.answer(200, "late")
        let reply = try fixture.sent()
        #expect(reply.contains("Connection: close") && reply.hasSuffix("late"))
        #expect(!fixture.isOpen)
    }

    @Test("a client that sends no more still gets the answers to what it pipelined")
    func halfCloseAfterPipelining() throws {
        let fixture = try ConnectionFixture()
        fixture.receive(Self.get + Self.get + Self.get)
        fixture.closeInput()
        for index in 0..<3 { fixture.exchanges[index].answer(200, "\(index)") }
        #expect(try fixture.sent().statuses == [200, 200, 200])
        #expect(!fixture.isOpen)
    }

    @Test("a request that ends in the middle is answered 400, and its exchange cancelled")
    func truncatedRequest() throws {
        let fixture = try ConnectionFixture()
        fixture.receive("PUT /a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n01234")
        fixture.closeInput()
        #expect(fixture.exchange.cancels == 1)
        #expect(!fixture.exchange.hasEnded)
        #expect(!fixture.isOpen)
    }

    @Test("what is no HTTP is answered 400 behind the answers to what came before")
    func malformed() throws {
        let fixture = try ConnectionFixture()
        fixture.receive(Self.get + "GARBAGE\r\n\r\n")
        #expect(try fixture.sent() == "")
        fixture.exchange.answer(200)
        #expect(try fixture.sent().statuses == [200, 400])
        #expect(fixture.exchanges.count == 1)
    }

    @Test("a head that is too large is answered 431")
    func largeHead() throws {
        let fixture = try ConnectionFixture(maxHeadBytes: 1000)
        fixture.receive("GET /a HTTP/1.1\r\nHost: localhost\r\nX-Long: \(String(repeating: "y", count: 2000))\r\n\r\n")
        let reply = try fixture.sent()
        #expect(reply.statuses == [431])
        #expect(reply.contains("Contact-Relay-Error: head_too_large") && reply.contains("Connection: close"))
        #expect(fixture.exchanges.isEmpty)
    }

    @Test("a client that never sends a head is closed after listen.head_timeout")
    func headTimeout() throws {
        let fixture = try ConnectionFixture(headTimeoutSeconds: 10)
        fixture.tick(10)
        #expect(fixture.isOpen)
        fixture.tick(1)
        #expect(!fixture.isOpen)
        #expect(try fixture.sent() == "")
    }

    @Test("each head of a connection has listen.head_timeout, however it trickles")
    func headTimeoutOfLaterRequests() throws {
        let fixture = try ConnectionFixture(idleTimeoutSeconds: 75, headTimeoutSeconds: 10)
        fixture.serve = { $0.answer(200, "ok") }
        fixture.receive(Self.get)
        // Rests for longer than a head may take.
        fixture.tick(30)
        #expect(try fixture.sent().statuses == [200])
        for letter in Self.get.prefix(10) {
            fixture.receive(String(letter))
            fixture.tick(1)
        }
        #expect(fixture.isOpen)
        fixture.tick(1)
        let reply = try fixture.sent()
        #expect(reply.statuses == [408] && reply.contains("Contact-Relay-Error: head_timeout\r\n"))
        #expect(fixture.exchanges.count == 1)
    }

    @Test("what follows an offer to upgrade is served, and the offer is not answered")
    func upgradeOffer() throws {
        let fixture = try ConnectionFixture()
        fixture.serve = { $0.answer(200, "ok") }
        let offer = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"
        fixture.receive("GET /1 HTTP/1.1\r\nHost: localhost\r\n\(offer)")
        fixture.receive("PUT /2 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\(offer)")
        fixture.receive("ok")
        #expect(try fixture.sent().statuses == [200, 200])
        #expect(fixture.exchanges.map(\.head.target) == ["/1", "/2"])
    }

    @Test("what is no request behind an offer to upgrade ends the connection")
    func garbageBehindUpgradeOffer() throws {
        let fixture = try ConnectionFixture()
        fixture.serve = { $0.answer(200, "ok") }
        fixture.receive("GET /1 HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
        for _ in 0..<24 { fixture.receive(String(repeating: "x", count: 1 << 20)) }
        #expect(try fixture.sent().statuses == [200, 400])
        #expect(!fixture.isOpen)
    }

    @Test("a connection that rests is closed after listen.idle_timeout, and one that is being served is not")
    func idleTimeout() throws {
        let fixture = try ConnectionFixture(idleTimeoutSeconds: 20, headTimeoutSeconds: 5)
        fixture.receive(Self.get)
        fixture.tick(100)
        #expect(fixture.isOpen)
        fixture.exchange.answer()
        fixture.tick(20)
        #expect(fixture.isOpen)
        fixture.tick(1)
        #expect(!fixture.isOpen)
    }

    @Test("a body that stops coming is answered 408")
    func bodyTimeout() throws {
        let fixture = try ConnectionFixture(idleTimeoutSeconds: 20)
        fixture.receive("PUT /a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n0")
        fixture.tick(15)
        fixture.receive("1")
        fixture.tick(20)
        #expect(try fixture.sent() == "")
        fixture.tick(1)
        #expect(try fixture.sent().statuses == [408])
        #expect(fixture.exchange.cancels == 1)
    }

    @Test("a body that is not asked for does not time out")
    func pausedBodyTimeout() throws {
        let fixture = try ConnectionFixture(idleTimeoutSeconds: 20)
        fixture.serve = { $0.connection.pauseInput(from: $0) }
        fixture.receive("PUT /a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n0")
        fixture.tick(100)
        #expect(try fixture.sent() == "")
        fixture.exchange.connection.resumeInput(from: fixture.exchange)
        #expect(fixture.exchange.body == "0")
        fixture.tick(20)
        #expect(try fixture.sent() == "")
        fixture.tick(1)
        #expect(try fixture.sent().statuses == [408])
    }

    @Test("a paused body waits, and is delivered in order when it is wanted")
    func pause() throws {
        let fixture = try ConnectionFixture()
        fixture.serve = { $0.connection.pauseInput(from: $0) }
        fixture.receive("PUT /a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6\r\n\r\nabc")
        fixture.receive("def" + Self.get)
        #expect(fixture.exchange.body == "")
        fixture.exchange.connection.resumeInput(from: fixture.exchange)
        #expect(fixture.exchanges[0].body == "abcdef")
        #expect(fixture.exchanges[0].hasEnded)
        #expect(fixture.exchanges.count == 1)
        fixture.exchange.answer()
        #expect(fixture.exchanges.count == 2)
    }

    @Test("a client that waits for 100 is told once, and only when its body is wanted")
    func expectContinue() throws {
        let fixture = try ConnectionFixture()
        fixture.receive("PUT /a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nExpect: 100-Continue\r\n\r\n")
        #expect(try fixture.sent() == "")
        fixture.exchange.connection.writeContinue()
        fixture.exchange.connection.writeContinue()
        #expect(try fixture.sent() == "HTTP/1.1 100 Continue\r\n\r\n")
        fixture.receive("ok")
        fixture.exchange.answer()
        #expect(try fixture.sent().statuses == [200])
        #expect(fixture.isOpen)
    }

    @Test("a client that does not wait for 100 is not told to continue")
    func bodyWithoutContinue() throws {
        let fixture = try ConnectionFixture()
        fixture.serve = { $0.connection.writeContinue() }
        fixture.receive("PUT /a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\no")
        #expect(try fixture.sent() == "")
        fixture.receive("k")
        #expect(fixture.exchange.body == "ok" && fixture.exchange.hasEnded)
        fixture.exchange.answer()
        #expect(try fixture.sent().statuses == [200])
        #expect(fixture.isOpen)
    }

    @Test("a client of HTTP/1.0 is never told to continue")
    func continueForHTTP10() throws {
        let fixture = try ConnectionFixture()
        fixture.receive("PUT /a HTTP/1.0\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        fixture.exchange.connection.writeContinue()
        #expect(try fixture.sent() == "")
    }

    @Test("a client that pipelines and does not read its answers is not served on")
    func unreadAnswers() throws {
        let fixture = try ConnectionFixture()
        fixture.serve = { $0.answer(200) }
        fixture.setWritable(false)
        fixture.receive(String(repeating: Self.get, count: 5))
        #expect(fixture.exchanges.isEmpty)
        fixture.setWritable(true)
        #expect(fixture.exchanges.count == 5)
        #expect(try fixture.sent().statuses == [200, 200, 200, 200, 200])
    }

    @Test("when the server stops, the answer that is awaited is the last")
    func quiesce() throws {
        let fixture = try ConnectionFixture()
        fixture.receive(Self.get)
        for connection in fixture.loop.connections.values { connection.quiesce() }
        #expect(fixture.isOpen)
        fixture.exchange.answer()
        #expect(try fixture.sent().contains("Connection: close"))
        #expect(!fixture.isOpen)
    }

    @Test("when the server stops, an idle client may send one more request before its connection ends")
    func quiesceIdle() throws {
        let fixture = try ConnectionFixture()
        fixture.serve = { $0.answer() }
        fixture.receive(Self.get)
        for connection in fixture.loop.connections.values { connection.quiesce() }
        #expect(fixture.isOpen)
        #expect(!(try fixture.sent().contains("Connection: close")))
        fixture.receive(Self.get)
        #expect(try fixture.sent().contains("Connection: close"))
        #expect(!fixture.isOpen)
    }

    @Test("when the server stops, idle connections end after a while, those without a first request last")
    func endIdle() throws {
        let old = try ConnectionFixture()
        old.serve = { $0.answer() }
        old.receive(Self.get)
        let new = try ConnectionFixture()
        for fixture in [old, new] {
            for connection in fixture.loop.connections.values {
                connection.quiesce()
                connection.endIdle(includingNew: false)
            }
        }
        #expect(!old.isOpen)
        #expect(new.isOpen)
        for connection in new.loop.connections.values { connection.endIdle(includingNew: true) }
        #expect(!new.isOpen)
    }

    @Test("an exchange that is not served any more is not heard")
    func staleExchange() throws {
        let fixture = try ConnectionFixture()
        fixture.receive(Self.get + Self.get)
        let first = fixture.exchange
        first.answer(200, "one")
        first.answer(200, "again")
        #expect(try fixture.sent().statuses == [200])
        fixture.exchange.answer(200, "two")
        #expect(try fixture.sent().hasSuffix("two"))
    }

    @Test("a client that goes cancels the exchange and leaves nothing behind")
    func hangUp() throws {
        let fixture = try ConnectionFixture()
        fixture.receive("PUT /a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n0")
        fixture.hangUp()
        #expect(fixture.exchange.cancels == 1)
        #expect(fixture.loop.connections.isEmpty)
    }
}

extension NotingExchange {
    /// Answers with the number in the path.
    func answerByNumber() { answer(200, "<\(head.target.dropFirst())>") }
}
