import NIOCore
import NIOHTTP1
import Testing

@testable import Outbox

@Suite struct WritePayloadTests {
    @Test func `headers read back in their order, repeated names and odd values included`() {
        let headers = HTTPHeaders([
            ("Content-Type", "application/json; charset=utf-8"), ("X-A", ""), ("X-A", "two"), ("X-B", "a:b: c"),
            ("x-u", "wörd"), ("X-C", "trailing space "),
        ])
        let payload = WritePayload(target: "/", headers: headers, body: ByteBuffer())
        let read = WritePayload.headers(fromText: payload.headerText)
        #expect(read.map { "\($0.name)|\($0.value)" } == headers.map { "\($0.name)|\($0.value)" })
        #expect(WritePayload.headers(fromText: "").isEmpty)
    }

    @Test func `the stored bytes are those of target, header lines and body`() {
        let payload = WritePayload(target: "/ä", headers: ["A": "bc"], body: ByteBuffer(bytes: [1, 2, 3, 4, 5]))
        #expect(payload.storedBytes == 3 + "A: bc\r\n".utf8.count + 5)
    }
}
