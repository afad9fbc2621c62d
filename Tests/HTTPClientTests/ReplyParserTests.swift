import NIOCore
import NIOHTTP1
import TestSupport
import Testing

@testable import HTTPClient

/// What a parser made of some bytes, in a form that can be compared.
struct ParsedReplies: Hashable, CustomStringConvertible {
    var heads: [String] = []
    var body = ""
    var isWhole = false
    var trailers: [String] = []
    var rest = 0
    var fault: String?

    var description: String {
        "\(self.heads) \(self.body) \(self.isWhole ? "whole" : "open") \(self.trailers) +\(self.rest) \(self.fault ?? "")"
    }

    init(_ bytes: [UInt8], isHead: Bool = false, cuts: [Int] = [], closes: Bool = false) {
        var parser = ReplyParser(limits: ReplyLimits())
        parser.begin(isHead: isHead)
        var unread = ByteBuffer()
        var start = 0
        do throws(ReplyFault) {
            for end in cuts.sorted() + [bytes.count] {
                unread.writeBytes(bytes[start..<max(start, end)])
                start = max(start, end)
                while let event = try parser.next(&unread) { self.take(event) }
            }
            if closes, let event = try parser.finish() { self.take(event) }
        } catch {
            self.fault = error.kind == .truncated ? "truncated" : "malformed"
        }
        self.rest = self.fault == nil ? unread.readableBytes : 0
    }

    private mutating func take(_ event: ReplyParser.Event) {
        switch event {
        case .head(let head):
            let fields = head.headers.map { "\($0.name)=\($0.value)" }.joined(separator: "|")
            self.heads.append("\(head.status) \(fields)")
        case .body(let bytes): self.body += String(buffer: bytes)
        case .end(let trailers):
            self.isWhole = true
            self.trailers = trailers?.map { "\($0.name)=\($0.value)" } ?? []
        }
    }
}

@Suite("Reply parser")
struct ReplyParserTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let name: String
        let text: String
        var isHead = false
        var closes = false
        /// The body of a whole reply; `nil` for a reply that is refused or cut short.
        var body: String?
        var status = 200
        var rest = 0
        var fault: String?

        var testDescription: String { self.name }
    }

    static let wholeCases: [Case] = [
        Case(name: "length", text: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", body: "{}"),
        Case(name: "no reason", text: "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", body: ""),
        Case(name: "empty reason", text: "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", body: ""),
        Case(
            name: "same length twice",
            text: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
            body: "{}"
        ),
        Case(name: "length as a list", text: "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\n{}", body: "{}"),
        Case(name: "space before colon", text: "HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\n{}", body: "{}"),
        Case(name: "tabs around value", text: "HTTP/1.1 200 OK\r\nContent-Length:\t2\t\r\n\r\n{}", body: "{}"),
        Case(
            name: "chunks",
            text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n",
            body: "abcde"
        ),
        Case(
            name: "chunk extensions",
            text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n2;a=\"b;c\"\r\nab\r\n0 ; x\r\n\r\n",
            body: "ab"
        ),
        Case(
            name: "upper-case chunk length",
            text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n",
            body: "0123456789"
        ),
        Case(
            name: "leading zeros",
            text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0002\r\nab\r\n000\r\n\r\n",
            body: "ab"
        ),
        Case(name: "until close", text: "HTTP/1.1 200 OK\r\n\r\nabc", closes: true, body: "abc"),
        Case(name: "until close, empty", text: "HTTP/1.1 200 OK\r\n\r\n", closes: true, body: ""),
        Case(
            name: "identity until close",
            text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nabc",
            closes: true,
            body: "abc"
        ),
        Case(name: "HTTP/1.0", text: "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", body: "{}"),
        Case(name: "HTTP/1.2", text: "HTTP/1.2 200 OK\r\nContent-Length: 2\r\n\r\n{}", body: "{}"),
        Case(name: "reply to HEAD", text: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", isHead: true, body: ""),
        Case(
            name: "chunked reply to HEAD",
            text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            isHead: true,
            body: ""
        ),
        Case(name: "204 with a length", text: "HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n", body: "", status: 204),
        Case(name: "304 with a length", text: "HTTP/1.1 304 Not\r\nContent-Length: 5\r\n\r\n", body: "", status: 304),
        Case(name: "bytes behind", text: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP", body: "{}", rest: 4),
        Case(
            name: "interim",
            text:
                "HTTP/1.1 102 P\r\n\r\nHTTP/1.1 103 E\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
            body: "x"
        ),
        Case(name: "no length but 0 bytes", text: "HTTP/1.1 500 E\r\nContent-Length: 0\r\n\r\n", body: "", status: 500),
    ]

    static let refusedCases: [Case] = [
        Case(name: "another protocol", text: "SSH-2.0-OpenSSH_9.2\r\n", fault: "malformed"),
        Case(name: "HTTP/2", text: "HTTP/2 200\r\n\r\n", fault: "malformed"),
        Case(name: "lower case", text: "http/1.1 200 OK\r\n\r\n", fault: "malformed"),
        Case(name: "status 099", text: "HTTP/1.1 099 Odd\r\nContent-Length: 2\r\n\r\n{}", fault: "malformed"),
        Case(name: "status 000", text: "HTTP/1.1 000 Odd\r\n\r\n", fault: "malformed"),
        Case(name: "status 600", text: "HTTP/1.1 600 Odd\r\n\r\n", fault: "malformed"),
        Case(name: "status 1000", text: "HTTP/1.1 1000 Odd\r\n\r\n", fault: "malformed"),
        Case(name: "status -10", text: "HTTP/1.1 -10 Odd\r\n\r\n", fault: "malformed"),
        Case(name: "status 20", text: "HTTP/1.1 20 Odd\r\n\r\n", fault: "malformed"),
        Case(name: "two spaces", text: "HTTP/1.1  200 OK\r\n\r\n", fault: "malformed"),
        Case(name: "control in reason", text: "HTTP/1.1 200 O\u{1}K\r\n\r\n", fault: "malformed"),
        Case(name: "leading empty line", text: "\r\nHTTP/1.1 200 OK\r\n\r\n", fault: "malformed"),
        Case(name: "bare LF", text: "HTTP/1.1 200 OK\nContent-Length: 0\n\n", fault: "malformed"),
        Case(name: "bare CR", text: "HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n", fault: "malformed"),
        Case(name: "NUL", text: "HTTP/1.1 200 OK\r\nA: b\u{0}c\r\n\r\n", fault: "malformed"),
        Case(name: "no colon", text: "HTTP/1.1 200 OK\r\nAbc\r\n\r\n", fault: "malformed"),
        Case(name: "empty name", text: "HTTP/1.1 200 OK\r\n: x\r\n\r\n", fault: "malformed"),
        Case(name: "space in name", text: "HTTP/1.1 200 OK\r\nA b: x\r\n\r\n", fault: "malformed"),
        Case(name: "first field folded", text: "HTTP/1.1 200 OK\r\n A: b\r\n\r\n", fault: "malformed"),
        Case(
            name: "folded length",
            text: "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n 0\r\n\r\n0123456789",
            fault: "malformed"
        ),
        Case(
            name: "two lengths",
            text: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{} ",
            fault: "malformed"
        ),
        Case(
            name: "two lengths in a list",
            text: "HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\n{} ",
            fault: "malformed"
        ),
        Case(name: "negative length", text: "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", fault: "malformed"),
        Case(name: "signed length", text: "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n", fault: "malformed"),
        Case(name: "empty length", text: "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n", fault: "malformed"),
        Case(name: "hexadecimal length", text: "HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\n", fault: "malformed"),
        Case(
            name: "huge length",
            text: "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
            fault: "malformed"
        ),
        Case(
            name: "length beside chunks",
            text: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            fault: "malformed"
        ),
        Case(
            name: "chunks in HTTP/1.0",
            text: "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            fault: "malformed"
        ),
        Case(
            name: "gzip coding",
            text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            fault: "malformed"
        ),
        Case(
            name: "chunked twice",
            text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            fault: "malformed"
        ),
        Case(
            name: "no chunk length",
            text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            fault: "malformed"
        ),
        Case(
            name: "negative chunk",
            text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
            fault: "malformed"
        ),
        Case(
            name: "huge chunk",
            text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
            fault: "malformed"
        ),
        Case(
            name: "chunk longer than it says",
            text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n",
            fault: "malformed"
        ),
        Case(
            name: "bare LF after chunk length",
            text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\nab\r\n",
            fault: "malformed"
        ),
        Case(name: "cut in the head", text: "HTTP/1.1 200 OK\r\nContent-", closes: true, fault: "truncated"),
        Case(
            name: "cut in the body",
            text: "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
            closes: true,
            fault: "truncated"
        ),
        Case(
            name: "cut in a chunk",
            text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
            closes: true,
            fault: "truncated"
        ),
        Case(
            name: "cut before the last chunk",
            text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
            closes: true,
            fault: "truncated"
        ),
        Case(
            name: "cut before the end of trailers",
            text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
            closes: true,
            fault: "truncated"
        ),
        Case(name: "nothing", text: "", closes: true, fault: "truncated"),
    ]

    @Test("a whole reply is read, however its bytes arrive", arguments: wholeCases)
    func whole(expected: Case) {
        let bytes = Array(expected.text.utf8)
        let parsed = ParsedReplies(bytes, isHead: expected.isHead, closes: expected.closes)
        #expect(parsed.fault == nil)
        #expect(parsed.isWhole)
        #expect(parsed.body == expected.body)
        #expect(parsed.heads.last?.hasPrefix("\(expected.status) ") == true)
        #expect(parsed.rest == expected.rest)
        let byteByByte = ParsedReplies(
            bytes,
            isHead: expected.isHead,
            cuts: Array(0..<bytes.count),
            closes: expected.closes
        )
        #expect(byteByByte == parsed)
    }

    @Test("what can be read in two ways, or not at all, is refused", arguments: refusedCases)
    func refused(expected: Case) {
        let bytes = Array(expected.text.utf8)
        let parsed = ParsedReplies(bytes, closes: expected.closes)
        #expect(parsed.fault == expected.fault)
        #expect(!parsed.isWhole)
        #expect(ParsedReplies(bytes, cuts: Array(0..<bytes.count), closes: expected.closes).fault == expected.fault)
    }

    @Test("fields are bytes, folded lines are one, and trailers come last")
    func fields() {
        let text =
            "HTTP/1.1 200 OK\r\nA:  b c \r\nX: caf\u{e9}\r\nLong: one\r\n\ttwo\r\n  three\r\nEmpty:\r\n"
            + "Transfer-Encoding: chunked\r\n\r\n0\r\nT: 1\r\n\r\n"
        let parsed = ParsedReplies(text.unicodeScalars.map { UInt8($0.value) })
        #expect(parsed.fault == nil)
        #expect(parsed.heads == ["200 A=b c|X=caf\u{e9}|Long=one two three|Empty=|Transfer-Encoding=chunked"])
        #expect(parsed.trailers == ["T=1"])
    }

    @Test("what has no end is bounded")
    func bounds() {
        let head = "HTTP/1.1 200 OK\r\n"
        let field = "X: " + String(repeating: "x", count: 1000) + "\r\n"
        #expect(ParsedReplies(Array((head + String(repeating: field, count: 70)).utf8)).fault == "malformed")
        #expect(
            ParsedReplies(Array((head + String(repeating: "A: b\r\n", count: 257) + "\r\n").utf8)).fault == "malformed"
        )
        #expect(ParsedReplies(Array((head + String(repeating: "x", count: 70_000)).utf8)).fault == "malformed")
        let chunked = head + "Transfer-Encoding: chunked\r\n\r\n"
        #expect(ParsedReplies(Array((chunked + "1;" + String(repeating: "x", count: 5000)).utf8)).fault == "malformed")
        #expect(
            ParsedReplies(Array((chunked + "0\r\n" + String(repeating: field, count: 20)).utf8)).fault == "malformed"
        )
        let interim = String(repeating: "HTTP/1.1 102 P\r\n\r\n", count: 1025)
        #expect(ParsedReplies(Array(interim.utf8)).fault == "malformed")
    }

    @Test("random bytes never trap, and are read alike however they are cut")
    func random() throws {
        var fuzz = ReplyFuzz(SeededGenerator("reply parser"))
        let started = ContinuousClock.now
        for _ in 0..<ReplyFuzz.inputs { fuzz.checkOne() }
        try fuzz.record(started.duration(to: .now))
    }
}
