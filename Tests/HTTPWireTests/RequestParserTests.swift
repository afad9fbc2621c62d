import FuzzInputs
import HTTPWire
import NIOCore
import Testing

@Suite("A request parser")
struct RequestParserTests {
    private func head(_ text: String) throws -> RequestHead {
        var parser = RequestParser(maxHeadBytes: 16 * 1024)
        var input = ByteBuffer(string: text)
        guard case .head(let head) = try parser.next(&input) else { throw NoHead() }
        return head
    }

    private struct NoHead: Error {}

    @Test("a request is read with its fields, without the white space around values")
    func fields() {
        let parsed = ParsedRequests("GET /a?b=c HTTP/1.1\r\nHost: h\r\nEmpty:\r\nX-Dexatel-Key:  k \t\r\n\r\n")
        #expect(
            parsed.requests == [
                .init(
                    method: "GET",
                    target: "/a?b=c",
                    isHTTP10: false,
                    fields: ["Host: h", "Empty: ", "X-Dexatel-Key: k"],
                    isComplete: true
                )
            ]
        )
        #expect(parsed.fault == nil && parsed.bytesLeft == 0)
    }

    @Test("white space around a length is no part of it")
    func spacedLength() {
        let parsed = ParsedRequests("PUT / HTTP/1.1\r\nContent-Length: 5 \r\n\r\nhello")
        #expect(parsed.requests.map(\.body) == [Array("hello".utf8)])
    }

    @Test("what follows an offer to upgrade is the next request")
    func upgrade() {
        let offer =
            "GET /1 HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n"
        let parsed = ParsedRequests(offer + "PUT /2 HTTP/1.1\r\nUpgrade: TLS/1.2\r\nContent-Length: 1\r\n\r\nx" + offer)
        #expect(parsed.requests.map(\.target) == ["/1", "/2", "/1"])
        #expect(parsed.requests.allSatisfy { $0.isComplete })
    }

    @Test("methods are spelled as they came", arguments: ["M-SEARCH", "FOO", "get", "PROPFIND", "MSEARCH", "a!b"])
    func methods(_ method: String) {
        #expect(ParsedRequests("\(method) / HTTP/1.1\r\n\r\n").requests.map(\.method) == [method])
    }

    @Test("each byte of a target is looked at, wherever it stands")
    func targetBytes() {
        for length in [1, 7, 8, 9, 17] {
            for place in 0..<length {
                for byte in UInt8.min...UInt8.max {
                    var target = [UInt8](repeating: UInt8(ascii: "z"), count: length)
                    target[place] = byte
                    // A neighbour that borrows or carries must not hide or make up a fault.
                    if place + 1 < length { target[place + 1] = [0x21, 0x22, 0x24, 0x7E][Int(byte) % 4] }
                    var parser = RequestParser(maxHeadBytes: 1_024)
                    var input = ByteBuffer(bytes: Array("GET ".utf8) + target + Array(" HTTP/1.1\r\n\r\n".utf8))
                    var isVisible: Bool?
                    if case .head(let head) = try? parser.next(&input) { isVisible = head.hasVisibleTarget }
                    let isMalformed = byte <= 0x20 || byte == 0x7F
                    let expected = isMalformed ? nil : byte < 0x7F && byte != UInt8(ascii: "#")
                    if isVisible != expected { Issue.record("\(byte) at \(place) of \(length)") }
                }
            }
        }
    }

    @Test("every minor version but 0 is as good as 1.1")
    func versions() throws {
        #expect(try head("GET / HTTP/1.0\r\n\r\n").isHTTP10)
        #expect(try !head("GET / HTTP/1.1\r\n\r\n").isHTTP10)
        #expect(try !head("GET / HTTP/1.2\r\n\r\n").isHTTP10)
        #expect(ParsedRequests("GET / HTTP/2.0\r\n\r\n").fault == .versionNotSupported)
        #expect(ParsedRequests("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").fault == .versionNotSupported)
    }

    @Test("bytes above 0x7F survive")
    func obsText() throws {
        let parsed = ParsedRequests([Array("GET / HTTP/1.1\r\nX: ".utf8) + [0xE9, 0xFF] + Array("\r\n\r\n".utf8)])
        #expect(parsed.requests.first?.fields == ["X: \u{E9}\u{FF}"])
        #expect(Latin1.bytes("\u{E9}\u{FF}") == [0xE9, 0xFF])
        #expect(Latin1.text([0x61, 0xC3, 0xA9]) == "a\u{C3}\u{A9}")
    }

    @Test(
        "what breaks the grammar is refused",
        arguments: [
            "GET /\r\n\r\n", "GET / \r\n\r\n", "GET  / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1 \r\n\r\n",
            " GET / HTTP/1.1\r\n\r\n",
            "GET / http/1.1\r\n\r\n", "GET / RTSP/1.0\r\n\r\n", "GET / HTTP/1.x\r\n\r\n", "GET / HTTP/11\r\n\r\n",
            "GET /a b HTTP/1.1\r\n\r\n", "GET /\u{7F} HTTP/1.1\r\n\r\n", "G\u{E9}T / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\nHost: h\n\n", "GET / HTTP/1.1\r\nHost: h\n\r\n", "GET / HTTP/1.1\r\nHost: h\rx: y\r\n\r\n",
            "GET / HTTP/1.1\r\nHost : h\r\n\r\n", "GET / HTTP/1.1\r\n: h\r\n\r\n", "GET / HTTP/1.1\r\nHost\r\n\r\n",
            "GET / HTTP/1.1\r\n Host: h\r\n\r\n", "GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
            "GET / HTTP/1.1\r\nA: b\u{0}\r\n\r\n",
            "GET / HTTP/1.1\r\nA: 12345678\u{1F}90\r\n\r\n", "\rGET / HTTP/1.1\r\n\r\n", "\u{16}\u{3}\u{1}",
        ]
    )
    func malformed(_ text: String) { #expect(ParsedRequests(text).fault == .malformed) }

    @Test(
        "what leaves in doubt where a body ends is refused",
        arguments: [
            "Content-Length: ", "Content-Length: +5", "Content-Length: -1", "Content-Length: 5, 5",
            "Content-Length: 0x5",
            "Content-Length: 9223372036854775808", "Content-Length: 99999999999999999999999",
            "Content-Length: 5\r\nContent-Length: 5", "Content-Length: 5\r\ncontent-length: 6",
            "Transfer-Encoding: chunked\r\nContent-Length: 5", "Transfer-Encoding: ", "Transfer-Encoding: ,chunked",
            "Transfer-Encoding: chunked, gzip", "Transfer-Encoding: gzip", "Transfer-Encoding: identity",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "Transfer-Encoding: xchunked",
            "Transfer-Encoding: chunked;q=1", "Transfer-Encoding : chunked",
        ]
    )
    func framing(_ lines: String) { #expect(ParsedRequests("POST / HTTP/1.1\r\n\(lines)\r\n\r\n").fault == .malformed) }

    @Test(
        "codings in front of chunked are not known",
        arguments: ["gzip, chunked", "gzip\r\nTransfer-Encoding: CHUNKED"]
    )
    func codings(_ value: String) {
        #expect(ParsedRequests("POST / HTTP/1.1\r\nTransfer-Encoding: \(value)\r\n\r\n").fault == .codingNotSupported)
    }

    @Test(
        "HTTP/1.0 has no transfer codings",
        arguments: ["chunked", "gzip", "gzip, chunked", "chunked\r\nContent-Length: 5", ""]
    )
    func oldCodings(_ value: String) {
        let head = "POST / HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: \(value)\r\n\r\n"
        let parsed = ParsedRequests(head + "5\r\nhello\r\n0\r\n\r\n")
        #expect(parsed.fault == .malformed && parsed.requests.isEmpty)
    }

    @Test("a connection persists unless the client says otherwise")
    func persistence() throws {
        #expect(try head("GET / HTTP/1.1\r\n\r\n").keepsAlive)
        #expect(try !head("GET / HTTP/1.1\r\nConnection: TE ,\tClose\r\n\r\n").keepsAlive)
        #expect(try !head("GET / HTTP/1.0\r\n\r\n").keepsAlive)
        #expect(try head("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").keepsAlive)
        #expect(try !head("GET / HTTP/1.0\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n").keepsAlive)
    }

    @Test("chunks are put together, without extensions and trailer fields")
    func chunks() {
        let parsed = ParsedRequests(
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
                + "5;a=b\r\nhello\r\n00A ; c\r\n, 9 bytes.\r\n0\r\nTrailer: 1\r\n\r\nGET /next HTTP/1.1\r\n\r\n"
        )
        #expect(parsed.requests.map { String(decoding: $0.body, as: UTF8.self) } == ["hello, 9 bytes.", ""])
        #expect(parsed.requests.map(\.target) == ["/", "/next"])
    }

    @Test(
        "extensions of chunks are passed over",
        arguments: [
            ";a", ";a=b", " ; a = b", ";a;b=c\t;d", ";a=\"\"", ";a=\"b;c=\\\"\\\\ d\" ; e", ";a=\"\u{E9}\\\u{E9}\"",
        ]
    )
    func extensions(_ text: String) {
        let head = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        let parsed = ParsedRequests(head + "5\(text)\r\nhello\r\n0\(text)\r\n\r\n")
        #expect(parsed.requests.map(\.body) == [Array("hello".utf8)])
        #expect(parsed.fault == nil)
    }

    @Test(
        "broken chunks are refused",
        arguments: [
            "\r\n", "x\r\n", "-1\r\n", "0x5\r\n", "5\nhello", "5 \r\nhello", "5\r\nhelloXX", "5\r\nhello\n",
            "5;a\u{0}\r\nhello",
            "10000000000000000\r\n", "8000000000000000\r\n", "00000000000000005\r\n", "0\r\n a\r\n\r\n",
            "0\r\nbad\r\n\r\n",
            ";a\r\n", "5\rhello\r\n",
            // Extensions are names, perhaps with a token or a quoted string.
            "5;\r\nhello", "5; \r\nhello", "5;a;\r\nhello", "5;;a\r\nhello", "5;bad[=x\r\nhello", "5;=x\r\nhello",
            "5;a=\r\nhello", "5;a=b c\r\nhello", "5;a b\r\nhello", "5;a \r\nhello", "5;a=\"b\r\nhello",
            "5;a=\"b\\\"\r\nhello", "5;a=\"b\"c\r\nhello", "5;a=b=c\r\nhello", "5,a\r\nhello", "0;\r\n\r\n",
        ]
    )
    func brokenChunks(_ chunks: String) {
        let parsed = ParsedRequests("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
        #expect(parsed.fault == .malformed)
        #expect(!parsed.requests.contains { $0.isComplete })
    }

    @Test("heads, trailers and the framing of chunks have a bound")
    func bounds() {
        let long = String(repeating: "a", count: 100)
        func fault(_ text: String) -> RequestFault? { ParsedRequests(text, maxHeadBytes: 100).fault }
        #expect(fault("GET /\(long) HTTP/1.1\r\n\r\n") == .targetTooLong)
        #expect(fault("GET /\(long)") == .targetTooLong)
        #expect(fault("\(long) / HTTP/1.1\r\n\r\n") == .malformed)
        #expect(fault("\(long)G") == .malformed)
        #expect(fault("\(long)") == nil)
        #expect(fault("GET / HTTP/1.1\r\nA: \(long)\r\n\r\n") == .headTooLarge)
        #expect(fault("GET / HTTP/1.1\r\nA: \(long)") == .headTooLarge)
        let post = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        #expect(fault(post + "5;\(long)\r\nhello") == .headTooLarge)
        #expect(fault(post + "5;\(long)\(long)") == .headTooLarge)
        let extended = String(repeating: "1;\(long.prefix(24))\r\nx\r\n", count: 4)
        #expect(fault(post + extended) == nil)
        #expect(fault(post + extended + "1;a\r\nx\r\n") == .headTooLarge)
        #expect(fault(post + "0\r\n" + String(repeating: "a: b\r\n", count: 17)) == .headTooLarge)
        #expect(fault(String(repeating: "\r\n", count: 1000) + "GET / HTTP/1.1\r\n\r\n") == nil)
    }
}
