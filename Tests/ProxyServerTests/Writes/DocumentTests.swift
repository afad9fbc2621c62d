import DexatelAPI
import Foundation
import HTTPWire
import NIOCore
import NIOHTTP1
import Testing
import Upstream

@testable import Outbox
@testable import ProxyServer

@Suite("Documents that the relay makes")
struct DocumentTests {
    private static let contact = ContactReference(audience: 0x1, contact: 0xABCD_EF)
    private static let errors = RelayErrors(wallSeconds: { 784_111_777 })

    private func object(_ bytes: some Sequence<UInt8>) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any])
    }

    @Test("the body of a 202 holds the ids from the path and the fields as they came, and nothing else")
    func acceptedBody() throws {
        let body = #"{"data": {"first_name" : "A\u00e9\"", "id":"mine", "custom\"1": null, "date":"d"}, "more": 1}"#
        let update = try ContactUpdate.check(Array(body.utf8))
        let rendered = AcceptedBody(contact: Self.contact, update: update)
            .rendered(from: ByteBuffer(string: body), allocator: ByteBufferAllocator())
        #expect(String(buffer: rendered).contains(#""first_name":"A\u00e9\"""#))
        let data = try #require(try object(rendered.readableBytesView)["data"] as? [String: Any])
        #expect(data.keys.sorted() == ["audience_id", "custom\"1", "date", "first_name", "id"])
        #expect(data["id"] as? String == Self.contact.contactText)
        #expect(data["audience_id"] as? String == Self.contact.audienceText)
        #expect(data["first_name"] as? String == "Aé\"")
        #expect(data["custom\"1"] is NSNull)
    }

    private func receipt(status: Int?, body: String?) throws -> Receipt {
        let vault = KeyVault(masterKey: try #require(MasterKey(bytes: [UInt8](repeating: 7, count: 32))))
        return Receipt(
            id: WriteID(sequence: 42, nonce: 1),
            state: .dead,
            method: .put,
            contact: Self.contact,
            keyFingerprint: vault.fingerprint(Secret("k")),
            acceptedAtMilliseconds: 784_111_777_123,
            attempts: 3,
            nextAttemptAtMilliseconds: nil,
            lastError: "status 400",
            isAmbiguous: true,
            responseStatus: status,
            responseBody: body.map { Array($0.utf8) },
            supersededBy: nil
        )
    }

    @Test("an error is in the upstream's shape, with the relay's slug beside it")
    func errorReply() throws {
        let head = RequestHead(.PUT, "/v1/a?secret=1")
        let reply = Self.errors.reply(
            413,
            "body_too_large",
            "It is \"large\"",
            retryAfterSeconds: 3,
            for: RequestSummary(head)
        )
        #expect(reply.status == 413)
        #expect(reply.headers.contains { $0 == ("Contact-Relay-Error", "body_too_large") })
        #expect(reply.headers.contains { $0 == ("Retry-After", "3") })
        let document = try object(try #require(reply.body).readableBytesView)
        let error = try #require((document["errors"] as? [[String: Any]])?.first)
        #expect(error["path"] as? String == "/v1/a" && error["method"] as? String == "PUT")
        #expect(error["status"] as? Int == 413 && error["code"] as? Int == 0)
        #expect(error["message"] as? String == "It is \"large\"")
        #expect(error["timestamp"] as? String == "1994-11-06 08:49:37")
    }

    @Test("a problem of the relay's own paths is as RFC 9457 says")
    func problem() throws {
        let reply = Self.errors.problem(404, "not_found", "Nothing", headers: [("X", "y")])
        #expect(reply.headers.contains { $0 == ("Content-Type", "application/problem+json") })
        #expect(reply.headers.contains { $0 == ("X", "y") })
        let document = try object(try #require(reply.body).readableBytesView)
        #expect(document["status"] as? Int == 404 && document["title"] as? String == "Not Found")
        #expect(document["detail"] as? String == "Nothing" && document["code"] as? String == "not_found")
    }

    @Test(
        "every way in which the outbox can refuse is a 503 with a time to come back",
        arguments: [
            (OutboxUnavailability.queueFull, "queue_full"), (.unverifiedKeyLimit, "unverified_key_limit"),
            (.diskLow, "disk_low"), (.storageFailed, "outbox_unavailable"), (.stopping, "stopping"),
        ]
    )
    func unavailable(reason: OutboxUnavailability, slug: String) {
        let reply = Self.errors.unavailable(reason, for: RequestSummary(method: "PUT", path: "/"))
        #expect(reply.status == 503)
        #expect(reply.headers.contains { $0 == ("Contact-Relay-Error", slug) })
        #expect(reply.headers.contains { $0.name == "Retry-After" })
    }

    @Test("the time to come back is rounded up, and never now")
    func retryAfter() {
        let now = ContinuousClock.now
        func seconds(_ wait: Duration) -> String? {
            let request = RequestSummary(method: "GET", path: "/")
            let reply = Self.errors.upstreamUnreachable(retryAt: now + wait, now: now, for: request)
            return reply.headers.first { $0.name == "Retry-After" }?.value
        }
        #expect(seconds(.milliseconds(2_001)) == "3")
        #expect(seconds(.seconds(2)) == "2")
        #expect(seconds(.zero) == "1")
        #expect(seconds(.seconds(-5)) == "1")
    }

    @Test("a receipt tells everything, and a body that is JSON as JSON")
    func receiptDocument() throws {
        let document = try object(ReceiptDocument(receipt: try receipt(status: 400, body: #"{"a":[1]}"#)).rendered())
        #expect(
            document.keys.sorted() == [
                "accepted_at", "ambiguous", "attempts", "audience_id", "contact_id", "hold", "id", "last_attempts",
                "last_error", "method", "next_attempt_at", "response", "sequence", "state", "superseded_by",
            ]
        )
        #expect(document["id"] as? String == WriteID(sequence: 42, nonce: 1).description)
        #expect(document["state"] as? String == "dead" && document["method"] as? String == "PUT")
        #expect(document["accepted_at"] as? String == "1994-11-06T08:49:37.123Z")
        #expect(document["attempts"] as? Int == 3 && document["sequence"] as? Int == 42)
        #expect(document["ambiguous"] as? Bool == true)
        #expect(document["next_attempt_at"] is NSNull && document["superseded_by"] is NSNull)
        #expect((document["last_attempts"] as? [Any])?.isEmpty == true && document["hold"] is NSNull)
        let response = try #require(document["response"] as? [String: Any])
        #expect(response["status"] as? Int == 400)
        #expect((response["body"] as? [String: Any])?["a"] as? [Int] == [1])
    }

    @Test("a receipt shows its last attempts, the newest last, and why it is held")
    func receiptAttempts() throws {
        var receipt = try receipt(status: nil, body: nil)
        receipt.state = .held
        receipt.hold = .write
        receipt.lastAttempts.append(
            .init(
                startedAtMilliseconds: 784_111_777_123,
                durationMilliseconds: 41,
                status: nil,
                error: "timeout: \"no\""
            )
        )
        receipt.lastAttempts.append(
            .init(startedAtMilliseconds: 784_111_778_123, durationMilliseconds: 7, status: 403, error: nil)
        )
        let document = try object(ReceiptDocument(receipt: receipt).rendered())
        #expect(document["hold"] as? String == "write")
        let attempts = try #require(document["last_attempts"] as? [[String: Any]])
        #expect(attempts.count == 2)
        #expect(attempts[0]["started_at"] as? String == "1994-11-06T08:49:37.123Z")
        #expect(attempts[0]["duration_milliseconds"] as? Int == 41)
        #expect(attempts[0]["status"] is NSNull && attempts[0]["error"] as? String == "timeout: \"no\"")
        #expect(attempts[1]["status"] as? Int == 403 && attempts[1]["error"] is NSNull)
        // A key that is held holds writes that stand in their lanes, too.
        receipt.hold = .none
        #expect(try object(ReceiptDocument(receipt: receipt).rendered())["hold"] as? String == "key")
    }

    @Test("a receipt's response may be text, empty or not there")
    func receiptResponses() throws {
        func response(_ status: Int?, _ body: String?) throws -> [String: Any]? {
            try object(ReceiptDocument(receipt: try receipt(status: status, body: body)).rendered())["response"]
                as? [String: Any]
        }
        #expect(try response(nil, nil) == nil)
        #expect(try response(502, "<html>\n")?["body"] as? String == "<html>\n")
        #expect(try response(204, nil)?["body"] is NSNull)
    }
}
