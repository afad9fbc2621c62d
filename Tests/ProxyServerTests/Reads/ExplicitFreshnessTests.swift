import Synchronization
import TestSupport
import Testing

@testable import ProxyServer

@Suite("Reads of replies that state their lifetime")
struct ExplicitFreshnessTests {
    /// What the upstream answers just now.
    private final class Script: Sendable {
        let status = Mutex("200 OK")
        let fields = Mutex("Cache-Control: max-age=2\r\n")

        func answer(_ peer: TestUpstream.Connection, _ head: String) async throws -> Bool {
            let status = status.withLock { $0 }
            let body = status.hasPrefix("200") ? Reads.contactBody("Ada") : #"{"errors":[{"code":1500}]}"#
            try await peer.write(Reads.reply(body, status: status, fields.withLock { $0 }))
            return true
        }
    }

    @Test(
        "RFC 5861 §3 past its own lifetime a reply is confirmed first; only an upstream that does not serve is replaced",
        arguments: [
            "408 Request Timeout", "425 Too Early", "429 Too Many Requests", "502 Bad Gateway",
            "503 Service Unavailable", "504 Gateway Timeout", "520 Unknown", "522 Connection Timed Out",
            "530 Origin Error",
        ]
    )
    func ownLifetime(unserved: String) async throws {
        let (script, clock) = (Script(), MovedClock())
        try await withUpstream(script.answer) { upstream in
            try await withServer(upstream: upstream.url, clock: clock.clock) { port, parts in
                _ = try await RawClient.exchange(port: port, Reads.get())
                clock.advance(seconds: 3)
                let confirmed = try await RawClient.exchange(port: port, Reads.get())
                #expect(confirmed.cacheStatus == "contact-relay; fwd=stale; fwd-status=200; stored; ttl=2")
                clock.advance(seconds: 3)
                for status in ["500 Internal Server Error", "501 Not Implemented", "505 Version", "519 Odd", "531 Odd"]
                {
                    script.status.withLock { $0 = status }
                    let failed = try await RawClient.exchange(port: port, Reads.get())
                    #expect(failed.status == Int(status.prefix(3)))
                }
                script.status.withLock { $0 = unserved }
                let standIn = try await RawClient.exchange(port: port, Reads.get())
                #expect(standIn.status == 200 && standIn.body == Reads.contactBody("Ada"))
                #expect(
                    standIn.cacheStatus == "contact-relay; fwd=stale; fwd-status=\(unserved.prefix(3)); ttl=-1"
                )
                parts.openBreaker()
                let stale = try await RawClient.exchange(port: port, Reads.get())
                #expect(stale.status == 200 && stale.body == Reads.contactBody("Ada"))
                #expect(stale.cacheStatus.hasPrefix("contact-relay; hit; ttl=-1"))
            }
        }
    }

    @Test("§3 a failure that says for how long is answered from the cache where nothing better is stored")
    func storedFailure() async throws {
        let (script, clock) = (Script(), MovedClock())
        script.status.withLock { $0 = "503 Service Unavailable" }
        script.fields.withLock { $0 = "Cache-Control: max-age=5\r\n" }
        try await withUpstream(script.answer) { upstream in
            try await withServer(upstream: upstream.url, clock: clock.clock) { port, parts in
                let first = try await RawClient.exchange(port: port, Reads.get())
                #expect(first.status == 503 && first.cacheStatus.contains("fwd-status=503; stored"))
                let second = try await RawClient.exchange(port: port, Reads.get())
                #expect(second.status == 503 && second.cacheStatus == "contact-relay; hit; ttl=5")
                #expect(second.body == first.body && upstream.requests.count == 1)
                clock.advance(seconds: 5)
                script.status.withLock { $0 = "200 OK" }
                script.fields.withLock { $0 = "" }
                let good = try await RawClient.exchange(port: port, Reads.get())
                #expect(good.status == 200 && good.cacheStatus.contains("stored; ttl=60"))
                // Now there is something better, which stays.
                clock.advance(seconds: 1_000)
                script.status.withLock { $0 = "503 Service Unavailable" }
                script.fields.withLock { $0 = "Cache-Control: max-age=5\r\n" }
                for _ in 0..<2 {
                    let stale = try await RawClient.exchange(port: port, Reads.get())
                    #expect(stale.status == 200 && stale.cacheStatus.contains("fwd=stale; fwd-status=503"))
                }
            }
        }
    }

    @Test("a failure of somebody on the way to the API is not stored at contacts, whatever it says of itself")
    func strangeFailure() async throws {
        try await withUpstream { peer, _ in
            let fields = "Cache-Control: max-age=60\r\n"
            try await peer.write(Reads.reply("<html>502</html>", status: "502 Bad Gateway", fields))
            return true
        } _: { upstream in
            try await withServer(upstream: upstream.url) { port, _ in
                for count in 1...2 {
                    let reply = try await RawClient.exchange(port: port, Reads.get())
                    #expect(reply.status == 502 && reply.body == "<html>502</html>")
                    #expect(upstream.requests.count == count)
                }
            }
        }
    }
}
