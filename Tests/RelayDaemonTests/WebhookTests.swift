import DexatelAPI
import Foundation
import TestSupport
import Testing
import Upstream

@testable import Outbox
@testable import RelayDaemon

/// Telling deaths: where, what, and when again.
@Suite struct WebhookTests {
    @Test(arguments: [
        ("https://hooks.example", "https://hooks.example", "/"),
        ("https://hooks.example:8443/dead/?token=a/b", "https://hooks.example:8443", "/dead/?token=a/b"),
        ("https://hooks.example?x=1", "https://hooks.example", "/?x=1"),
        ("http://127.0.0.1:9000/x", "http://127.0.0.1:9000", "/x"), ("HTTP://[::1]/", "http://[::1]", "/"),
    ])
    func `a webhook has an origin, and any path and query`(text: String, origin: String, target: String) throws {
        let url = try #require(WebhookURL(text))
        #expect(url.origin.origin == origin && url.target == target)
    }

    @Test(arguments: [
        "http://hooks.example/", "ftp://127.0.0.1/", "hooks.example", "https://u:p@hooks.example/", "https:///x",
        "https://hooks.example/#part", "https://hooks.example/a b", "https://hooks.example/ü", "https://h:0/", "",
    ])
    func `what would show deaths to the network, or is no request, is refused`(text: String) {
        #expect(WebhookURL(text) == nil)
    }

    @Test func `a URL that is refused, or printed, does not show itself`() throws {
        let secret = "http://hooks.example/planted-secret"
        let sources = { (text: String) in
            try RelayConfiguration.load(
                file: nil,
                defaultFile: "/nonexistent/contact-relay.yaml",
                environment: [:],
                overrides: ["writes.on_dead_url": text]
            )
        }
        let error = #expect(throws: ConfigurationError.self) { try sources(secret) }
        #expect(error.map { "\($0)".contains("writes.on_dead_url") && !"\($0)".contains("planted") } == true)
        let good = try sources("https://hooks.example/planted-secret")
        #expect(!good.effectiveDescription().contains("planted"))
        #expect(
            RelayConfiguration().effectiveDescription().contains(#"on_dead_url: """#),
            "that there is none is no secret"
        )
    }

    @Test func `an event says which write died and why, under a name that no other death has`() throws {
        let dead = DeadWrite(
            id: WriteID(sequence: 42, nonce: 1),
            contact: ContactReference(audience: 1, contact: 2),
            keyFingerprint: "0123456789ab",
            method: .put,
            reason: "status 422",
            status: 422,
            body: Array(#"{"errors":[]}"#.utf8),
            attempts: 3,
            isAmbiguous: true,
            acceptedAtMilliseconds: 784_111_777_123,
            endedAtMilliseconds: 784_111_779_000
        )
        let rendered = try DeadWriteEvent(dead).rendered()
        let event = try #require(try JSONSerialization.jsonObject(with: Data(rendered)) as? [String: Any])
        #expect(
            event.keys.sorted() == [
                "accepted_at", "ambiguous", "api_key", "attempts", "audience_id", "contact_id", "died_at", "event",
                "event_id", "id", "method", "reason", "response", "sequence",
            ]
        )
        #expect(event["event"] as? String == "contact_write.dead" && event["id"] as? String == dead.id.description)
        #expect(event["died_at"] as? String == "1994-11-06T08:49:39.000Z" && event["reason"] as? String == "status 422")
        #expect((event["response"] as? [String: Any])?["body"] as? String == #"{"errors":[]}"#)
        var again = dead
        again.endedAtMilliseconds += 1
        #expect(Set([dead, again].map(\.deathID)).count == 2)
        var unanswered = dead
        unanswered.status = nil
        #expect(try !String(decoding: DeadWriteEvent(unanswered).rendered(), as: UTF8.self).contains("response"))
    }

    // MARK: - Pace

    @Test func `nothing is told during a pause, which grows with each failure to a bound`() {
        var random = SeededGenerator("pauses of a webhook")
        var pace = WebhookPace()
        var now: Int64 = 1_000
        #expect(pace.pauseMilliseconds(now: now) == nil)
        var longest: Int64 = 0
        for failure in 1...200 {
            _ = pace.failed(tellAttempts: 0, retryAfterMilliseconds: nil, now: now, using: &random)
            let pause = pace.pauseMilliseconds(now: now) ?? 0
            let bound = failure < 10 ? Int64(1_000) << (failure - 1) : 300_000
            #expect((1...min(bound, 300_000)).contains(pause), "after \(failure)")
            longest = max(longest, pause)
            now += pause
            #expect(pace.pauseMilliseconds(now: now) == nil)
        }
        #expect(longest > 200_000, "jitter over all of it")
        pace.told()
        #expect(pace.failuresInARow == 0 && pace.pauseMilliseconds(now: now) == nil)
    }

    @Test func `a death that cannot be told rests longer each time, to a bound, whatever else is told`() {
        var random = SeededGenerator("rests of a death")
        var pace = WebhookPace()
        for attempts in [0, 1, 5, 20, Int64.max] {
            var longest: Int64 = 0
            for _ in 1...200 {
                let rest = pace.failed(tellAttempts: attempts, retryAfterMilliseconds: nil, now: 0, using: &random)
                longest = max(longest, rest)
                pace.told()
            }
            let bound = attempts < 9 ? Int64(10_000) << attempts : 3_600_000
            #expect((bound / 2...bound).contains(longest), "after \(attempts)")
        }
    }

    @Test func `a receiver's Retry-After is obeyed for an hour at most`() {
        var random = SeededGenerator("Retry-After of a webhook")
        var pace = WebhookPace()
        let rest = pace.failed(tellAttempts: 0, retryAfterMilliseconds: 90_000, now: 0, using: &random)
        #expect(rest >= 90_000 && pace.pauseMilliseconds(now: 0) == 90_000)
        for odd in [31_536_000_000, Int64.max] {
            let rest = pace.failed(tellAttempts: 0, retryAfterMilliseconds: odd, now: 0, using: &random)
            #expect(rest == 3_600_000 && pace.pauseMilliseconds(now: 0) == 3_600_000)
        }
        _ = pace.failed(tellAttempts: 0, retryAfterMilliseconds: -5, now: 0, using: &random)
        #expect(pace.pauseMilliseconds(now: 0) ?? 0 > 0)
    }
}
