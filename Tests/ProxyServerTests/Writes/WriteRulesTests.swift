import Foundation
import Testing

@testable import ProxyServer

/// A line of an import is checked as the request that it was.
@Suite struct WriteRulesTests {
    private static let target =
        "/v1/audiences/22089fd7-7b74-4815-8452-3a8e864affbc/contacts/0c6dd0f4-5d2a-4c8a-9c0e-000000000001"
    private static let json = ["Content-Type", "application/json"]

    private func fault(
        method: String = "PUT",
        target: String = WriteRulesTests.target,
        _ headers: [[String]],
        _ body: String
    ) -> WriteFault? {
        do throws(WriteFault) {
            try WriteRules(ServerConfiguration()).check(
                method: method,
                target: target,
                headers: headers,
                body: Data(body.utf8)
            )
            return nil
        } catch {
            return error
        }
    }

    @Test func `what a request can make is taken`() {
        #expect(fault([Self.json], "{}") == nil)
        #expect(fault([["content-type", "application/json; charset=utf-8"]], #"{"data":{"first_name":"Ada"}}"#) == nil)
        #expect(
            fault([Self.json, ["User-Agent", "caf\u{E9}"], ["Idempotency-Key", "k"], ["baggage", ""]], "{}") == nil
        )
        #expect(fault(method: "DELETE", [], "") == nil)
        #expect(fault(method: "DELETE", [Self.json], "{}") == nil)
        #expect(fault(target: Self.target + "?a=b", [Self.json], "{}") == nil)
    }

    @Test(arguments: [
        ["Bad Name", "x"], ["X-Request-Id", "1\r\nX-Other: 2"], ["X-Request-Id", "1\n"], ["X-Request-Id", "\u{0}"],
        ["X-Request-Id", "\u{20AC}"], ["X-Request-Id", " 1"], ["X-Request-Id", "1\t"], ["", "x"], ["X-Request-Id"],
        ["X-Request-Id:", "x"], ["X-Request-Id ", "x"], ["X-Request-Id", "1\r\n\r\n{}"], ["Content-Length", "1"],
        ["Transfer-Encoding", "chunked"], ["Host", "other"],
    ])
    func `a field that no request could have, or only by its framing, is refused`(_ field: [String]) {
        let found = fault([Self.json, field], "{}")
        #expect(found == .notHTTP || found == .otherFields)
    }

    @Test(arguments: ["Authorization", "Cookie", "X-Dexatel-Key", "Connection", "Expect", "Via", "X-Other"])
    func `a field that is never stored is refused`(_ name: String) {
        #expect(fault([Self.json, [name, "x"]], "{}") == .otherFields)
    }

    @Test func `what the door refuses is refused`() {
        #expect(fault([], "{}") == .mediaType)
        #expect(fault([["Content-Type", "text/plain"]], "{}") == .mediaType)
        #expect(fault(method: "DELETE", [], "{}") == .mediaType)
        #expect(fault([Self.json, ["Content-Encoding", "gzip"]], "{}") == .contentEncoding)
        #expect(fault([Self.json, ["If-Match", "\"x\""]], "{}") == .precondition)
        #expect(fault([Self.json, ["Idempotency-Key", ""]], "{}") == .idempotencyKey)
        #expect(fault([Self.json, ["Idempotency-Key", "a"], ["Idempotency-Key", "b"]], "{}") == .idempotencyKey)
        let note = String(repeating: "x", count: 70_000)
        #expect(fault([Self.json], #"{"data":{"note":"\#(note)"}}"#) == .bodyTooLarge(65_536))
        let bodies = [
            "", "hello", "[1]", #"{"data":{"first_name":"a","first_name":"b"}}"#, #"{"data":{"first_name":5}}"#,
            #"{"data":{"first_name":"\#(String(repeating: "x", count: 33))"}}"#,
        ]
        for body in bodies {
            guard case .body? = fault([Self.json], body) else {
                Issue.record("\(body.prefix(40)) is taken")
                continue
            }
        }
        #expect(fault(method: "PATCH", [Self.json], "{}") == .notHTTP)
        #expect(fault(target: Self.target + " HTTP/1.1\r\nX: y", [Self.json], "{}") == .notHTTP)
        #expect(fault(target: "", [Self.json], "{}") == .notHTTP)
    }
}
