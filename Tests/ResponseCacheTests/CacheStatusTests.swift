import ResponseCache
import Testing

@Suite("Cache-Status (RFC 9211)")
struct CacheStatusTests {
    @Test("§2.1 a hit says so and nothing of forwarding")
    func hit() {
        #expect(CacheStatus(ttlSeconds: 30).fieldValue == "contact-relay; hit; ttl=30")
        #expect(CacheStatus(ttlSeconds: -412).fieldValue == "contact-relay; hit; ttl=-412")
    }

    @Test(
        "§2.2 the reasons for forwarding",
        arguments: [
            (CacheStatus.Forward.bypass, "bypass"), (.method, "method"), (.uriMiss, "uri-miss"),
            (.varyMiss, "vary-miss"),
            (.miss, "miss"), (.request, "request"), (.stale, "stale"),
        ]
    )
    func forward(reason: CacheStatus.Forward, name: String) {
        #expect(CacheStatus(forward: reason).fieldValue == "contact-relay; fwd=\(name)")
    }

    @Test("§2.3 to §2.8 what else there is to say")
    func parameters() {
        var status = CacheStatus(forward: .uriMiss, ttlSeconds: 60, detail: "slow start")
        status.forwardStatus = 304
        status.isStored = true
        status.isCollapsed = true
        #expect(
            status.fieldValue
                == "contact-relay; fwd=uri-miss; fwd-status=304; stored; collapsed; ttl=60; detail=\"slow start\""
        )
    }

    @Test("§2.8 a detail is a token or a quoted string, whatever is in it")
    func detail() {
        func text(_ detail: String) -> String { CacheStatus(forward: .miss, detail: detail).fieldValue }
        #expect(text("no-store") == "contact-relay; fwd=miss; detail=no-store")
        #expect(text("a\"b\\c\r\nd") == "contact-relay; fwd=miss; detail=\"a\\\"b\\\\cd\"")
        #expect(text("5xx") == "contact-relay; fwd=miss; detail=\"5xx\"")
    }
}
