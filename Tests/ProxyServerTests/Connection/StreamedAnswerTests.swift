import NIOCore
import NIOHTTP1
import Testing

@testable import ProxyServer

@Suite("Streamed answers")
struct StreamedAnswerTests {
    private static let get = "GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n"

    private func begin(
        _ fixture: ConnectionFixture,
        _ length: AnswerHead.BodyLength,
        status: Int = 200,
        request: String = StreamedAnswerTests.get
    ) -> NotingExchange {
        fixture.receive(request)
        let exchange = fixture.exchange
        exchange.connection.beginAnswer(AnswerHead(status: status, headers: [], length: length), from: exchange)
        return exchange
    }

    private func write(_ text: String, _ exchange: NotingExchange) {
        exchange.connection.write(ByteBuffer(string: text), from: exchange)
    }

    @Test("a body of known length goes as it is, and the next request follows")
    func known() throws {
        let fixture = try ConnectionFixture()
        let exchange = begin(fixture, .known(6), request: Self.get + Self.get)
        write("abc", exchange)
        write("def", exchange)
        #expect(fixture.exchanges.count == 1)
        exchange.connection.endAnswer(from: exchange)
        let sent = try fixture.sent()
        #expect(sent.contains("Content-Length: 6\r\n") && sent.hasSuffix("\r\n\r\nabcdef"))
        #expect(!sent.contains("Transfer-Encoding"))
        #expect(exchange.cancels == 1)
        #expect(fixture.exchanges.count == 2)
    }

    @Test("a body of unknown length goes in chunks")
    func chunked() throws {
        let fixture = try ConnectionFixture()
        let exchange = begin(fixture, .unknown)
        write("abc", exchange)
        write("", exchange)
        write(String(repeating: "d", count: 26), exchange)
        exchange.connection.endAnswer(from: exchange)
        let sent = try fixture.sent()
        #expect(sent.contains("Transfer-Encoding: chunked\r\n") && !sent.contains("Content-Length"))
        #expect(sent.hasSuffix("\r\n\r\n3\r\nabc\r\n1a\r\n" + String(repeating: "d", count: 26) + "\r\n0\r\n\r\n"))
        #expect(fixture.isOpen)
    }

    @Test("a client of HTTP/1.0 gets a body of unknown length until the connection closes")
    func untilClose() throws {
        let fixture = try ConnectionFixture()
        let request = "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
        let exchange = begin(fixture, .unknown, request: request)
        write("abc", exchange)
        exchange.connection.endAnswer(from: exchange)
        let sent = try fixture.sent()
        #expect(sent.contains("Connection: close") && !sent.contains("Transfer-Encoding"))
        #expect(sent.hasSuffix("\r\n\r\nabc"))
        #expect(!fixture.isOpen)
    }

    @Test(
        "replies without a body have none, whatever is written",
        arguments: [
            ("HEAD", 200, AnswerHead.BodyLength.known(5), true), ("HEAD", 200, .unknown, false),
            ("HEAD", 200, .none, false), ("GET", 304, .known(5), true), ("GET", 204, .known(0), false),
            ("GET", 204, .none, false),
        ]
    )
    func bodiless(method: String, status: Int, length: AnswerHead.BodyLength, saysLength: Bool) throws {
        let fixture = try ConnectionFixture()
        let request = "\(method) /a HTTP/1.1\r\nHost: localhost\r\n\r\n"
        let exchange = begin(fixture, length, status: status, request: request)
        write("12345", exchange)
        exchange.connection.endAnswer(from: exchange)
        let sent = try fixture.sent()
        #expect(sent.hasSuffix("\r\n\r\n"))
        #expect(!sent.contains("Transfer-Encoding"))
        #expect(sent.contains("Content-Length: 5") == saysLength)
        #expect(sent.contains("Content-Length") == saysLength)
        #expect(fixture.isOpen)
    }

    @Test("a reply that may have a body but has none says so")
    func empty() throws {
        let fixture = try ConnectionFixture()
        let exchange = begin(fixture, .none)
        exchange.connection.endAnswer(from: exchange)
        #expect(try fixture.sent().contains("Content-Length: 0"))
        #expect(fixture.isOpen)
    }

    @Test(
        "an answer that is broken off does not look complete",
        arguments: [AnswerHead.BodyLength.known(10), .unknown]
    )
    func abort(length: AnswerHead.BodyLength) throws {
        let fixture = try ConnectionFixture()
        let exchange = begin(fixture, length)
        write("abc", exchange)
        exchange.connection.abortAnswer(from: exchange)
        #expect(!fixture.isOpen)
        #expect(exchange.cancels == 1)
        #expect(try fixture.sent().hasSuffix("abc" + (length == .unknown ? "\r\n" : "")))
    }

    @Test("an answer shorter than it said ends the connection")
    func tooShort() throws {
        let fixture = try ConnectionFixture()
        let exchange = begin(fixture, .known(10))
        write("abc", exchange)
        exchange.connection.endAnswer(from: exchange)
        #expect(!fixture.isOpen)
    }

    @Test("an answer longer than it said ends the connection, without the excess")
    func tooLong() throws {
        let fixture = try ConnectionFixture()
        let exchange = begin(fixture, .known(4))
        write("abc", exchange)
        write("de", exchange)
        #expect(!fixture.isOpen)
        #expect(try fixture.sent().hasSuffix("abc"))
    }

    @Test("an answer may stream while the request still comes, and the rest of it is thrown away then")
    func fullDuplex() throws {
        let fixture = try ConnectionFixture()
        let request = "POST /a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6\r\n\r\nab"
        let exchange = begin(fixture, .unknown, request: request)
        write("1", exchange)
        fixture.receive("cd")
        #expect(exchange.body == "abcd")
        exchange.connection.endAnswer(from: exchange)
        fixture.receive("ef" + Self.get)
        #expect(exchange.body == "abcd")
        #expect(fixture.exchanges.count == 2)
    }

    @Test("the exchange hears when the client takes more")
    func writability() throws {
        let fixture = try ConnectionFixture()
        let exchange = begin(fixture, .unknown)
        fixture.setWritable(false)
        #expect(!exchange.connection.isWritable && exchange.resumes == 0)
        fixture.setWritable(true)
        #expect(exchange.connection.isWritable && exchange.resumes == 1)
    }

    @Test("an upload that stops while the answer streams breaks the answer off")
    func stalledUpload() throws {
        let fixture = try ConnectionFixture(idleTimeoutSeconds: 20)
        let exchange = begin(
            fixture,
            .unknown,
            request: "POST /a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6\r\n\r\nab"
        )
        fixture.tick(21)
        #expect(!fixture.isOpen)
        #expect(exchange.cancels == 1)
    }

    @Test("an answer that streams slowly does not time out, whatever the client does not say")
    func slowAnswer() throws {
        let fixture = try ConnectionFixture(idleTimeoutSeconds: 20)
        let exchange = begin(fixture, .unknown)
        for _ in 0..<10 {
            fixture.tick(15)
            write("x", exchange)
        }
        #expect(fixture.isOpen)
    }
}
