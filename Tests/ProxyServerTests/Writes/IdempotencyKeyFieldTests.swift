import HTTPWire
import NIOHTTP1
import Testing

@testable import ProxyServer

/// What an `Idempotency-Key` may be: every case as a line.
@Suite("Idempotency-Key")
struct IdempotencyKeyFieldTests {
    private static let longest = String(repeating: "k", count: IdempotencyKeyField.maxBytes)

    @Test(
        "one printable value tells a write from the next",
        arguments: [
            ([], .none), (["k"], .value("k")), (["\"8e03978e\""], .value("\"8e03978e\"")), ([" k\t"], .value("k")),
            (["a b"], .value("a b")), ([longest], .value(longest)), ([longest + "k"], .invalid), ([""], .invalid),
            (["  "], .invalid), (["\"\""], .invalid), (["k", "k"], .invalid), (["k", ""], .invalid),
            (["", ""], .invalid), (["a\u{1}"], .invalid), (["caf\u{E9}"], .invalid), (["a\u{7F}"], .invalid),
            (["a\tb"], .invalid),
        ] as [([String], IdempotencyKeyField)]
    )
    func values(values: [String], expected: IdempotencyKeyField) {
        let headers = HTTPHeaders(values.map { ("idempotency-Key", $0) })
        #expect(WriteRequestFields(RequestHead(.PUT, "/", headers)).idempotencyKey == expected)
    }
}
