import ResponseCache
import Synchronization
import TestSupport
import Testing
import Upstream

@testable import ProxyServer

/// What has happened since the upstream was asked decides what its reply, or its silence, is worth (design §5.4, P4, P6).
@Suite("Late replies")
struct LateReplyTests {
    @Test("an old reply that comes late is not stored, though the newer one has been evicted meanwhile")
    func overtakenByEvicted() async throws {
        try await withOvertakenRead { port, parts, gate, slow, _ in
            var small = parts.cache.configuration
            let usual = small
            small.memoryBytes = 0
            parts.cache.reload(small)
            parts.cache.reload(usual)
            #expect(parts.cache.counters.entries == 0)
            gate.open()
            let old = try await slow.reply()
            #expect(old.body.contains("\"version\":0"))
            #expect(old.cacheStatus.contains("detail=superseded"))
            parts.openBreaker()
            let later = try await RawClient.exchange(port: port, Reads.get(Reads.list))
            #expect(later.status == 504)
        }
    }

    @Test("a read that waits for a confirmation shows nothing stale once its key has been refused, or the reply purged")
    func refusedMeanwhile() async throws {
        for isPurged in [false, true] {
            let gate = Gate()
            let isGated = Atomic<Bool>(false)
            let clock = MovedClock()
            try await withUpstream { peer, head in
                if head.hasPrefix("POST") {
                    try await peer.write(Reads.reply("no", status: "401 Unauthorized"))
                    return true
                }
                if isGated.load(ordering: .sequentiallyConsistent) {
                    try await gate.passed()
                    return false
                }
                try await peer.write(Reads.reply(Reads.contactBody("Ada")))
                return true
            } _: { upstream in
                try await withServer(upstream: upstream.url, clock: clock.clock) { port, parts in
                    _ = try await RawClient.exchange(port: port, Reads.get())
                    clock.advance(seconds: 1_000)
                    isGated.store(true, ordering: .sequentiallyConsistent)
                    try await RawClient.with(port: port) { waiting in
                        try await waiting.send(Reads.get())
                        try await eventually("the confirmation") { gate.arrived == 1 }
                        if isPurged {
                            parts.cache.purge(path: "/")
                        } else {
                            let post = try await RawClient.exchange(port: port, Reads.request("POST", "/v1/messages"))
                            #expect(post.status == 401)
                        }
                        gate.open()
                        let reply = try await waiting.reply()
                        #expect(reply.status == 502 && !reply.body.contains("Ada"))
                    }
                }
            }
        }
    }

    @Test("a read that waits in vain is answered with what has been stored meanwhile")
    func newerMeanwhile() async throws {
        let gate = Gate()
        let count = Atomic<Int>(0)
        let clock = MovedClock()
        try await withUpstream { peer, _ in
            switch count.add(1, ordering: .sequentiallyConsistent).newValue {
            case 1: try await peer.write(Reads.reply(Reads.contactBody("Ada")))
            case 2:
                try await gate.passed()
                return false
            default: try await peer.write(Reads.reply(Reads.contactBody("Bea")))
            }
            return true
        } _: { upstream in
            try await withServer(upstream: upstream.url, clock: clock.clock) { port, _ in
                _ = try await RawClient.exchange(port: port, Reads.get())
                clock.advance(seconds: 1_000)
                try await RawClient.with(port: port) { waiting in
                    try await waiting.send(Reads.get())
                    try await eventually("the confirmation") { gate.arrived == 1 }
                    let other = try await RawClient.exchange(
                        port: port,
                        Reads.get(fields: "Cache-Control: no-cache\r\n")
                    )
                    #expect(other.body == Reads.contactBody("Bea"))
                    gate.open()
                    let reply = try await waiting.reply()
                    #expect(reply.status == 200 && reply.body == Reads.contactBody("Bea"))
                }
            }
        }
    }

    @Test("whoever has seen a newer reply that was not stored is not shown the older one as fresh")
    func unstored() async throws {
        let version = Atomic<Int>(1)
        let fields = Mutex("ETag: \"v1\"\r\n")
        try await withUpstream { peer, _ in
            let body = Reads.contactBody("v\(version.load(ordering: .sequentiallyConsistent))")
            try await peer.write(Reads.reply(body, fields.withLock { $0 }))
            return true
        } _: { upstream in
            try await withServer(upstream: upstream.url) { port, _ in
                let noStore = Reads.get(fields: "Cache-Control: no-cache, no-store\r\n")
                _ = try await RawClient.exchange(port: port, Reads.get())
                // The same is no news.
                _ = try await RawClient.exchange(port: port, noStore)
                let same = try await RawClient.exchange(port: port, Reads.get())
                #expect(same.cacheStatus.contains("; hit;"))
                version.store(2, ordering: .sequentiallyConsistent)
                fields.withLock { $0 = "ETag: \"v2\"\r\n" }
                let seen = try await RawClient.exchange(port: port, noStore)
                #expect(seen.body == Reads.contactBody("v2"))
                let next = try await RawClient.exchange(port: port, Reads.get())
                #expect(next.body == Reads.contactBody("v2"))
                // Nor where it is the reply that must not be stored, or a condition that only the upstream may judge.
                for forbidding in ["Cache-Control: no-store\r\nETag: \"v3\"\r\n", "ETag: \"v4\"\r\n"] {
                    fields.withLock { $0 = forbidding }
                    let number = version.add(1, ordering: .sequentiallyConsistent).newValue
                    let asked = number == 3 ? "Cache-Control: no-cache\r\n" : "If-Match: \"v4\"\r\n"
                    let newer = try await RawClient.exchange(port: port, Reads.get(fields: asked))
                    #expect(newer.body == Reads.contactBody("v\(number)"))
                    let again = try await RawClient.exchange(port: port, Reads.get())
                    #expect(again.body == Reads.contactBody("v\(number)"))
                }
            }
        }
    }

    @Test("an upstream that is silent about one resource makes its readers wait once, not each time")
    func silent() async throws {
        let gate = Gate()
        let isSilent = Atomic<Bool>(false)
        let clock = MovedClock()
        try await withUpstream { peer, _ in
            if isSilent.load(ordering: .sequentiallyConsistent) { try await gate.passed() }
            try await peer.write(Reads.reply(Reads.contactBody("Ada")))
            return true
        } _: { upstream in
            try await withServer(
                upstream: upstream.url,
                clock: clock.clock,
                adjust: { $1.requestTimeout = .milliseconds(500) },
                { port, parts in
                    _ = try await RawClient.exchange(port: port, Reads.get())
                    clock.advance(seconds: 1_000)
                    isSilent.store(true, ordering: .sequentiallyConsistent)
                    let first = try await RawClient.exchange(port: port, Reads.get())
                    #expect(first.cacheStatus == "contact-relay; fwd=stale; ttl=-940; detail=timeout")
                    for _ in 0..<5 {
                        let next = try await RawClient.exchange(port: port, Reads.get())
                        #expect(next.status == 200)
                        #expect(next.cacheStatus == "contact-relay; hit; ttl=-940")
                    }
                    isSilent.store(false, ordering: .sequentiallyConsistent)
                    gate.open()
                    // What is asked behind the scenes notices that it speaks again.
                    try await eventually("a fresh reply") {
                        try await RawClient.exchange(port: port, Reads.get()).cacheStatus
                            == "contact-relay; hit; ttl=60"
                    }
                }
            )
        }
    }

    @Test("a body that dribbles is given up when upstream.request_timeout is over, and what is stored stands in")
    func dribbling() async throws {
        let isSlow = Atomic<Bool>(false)
        let clock = MovedClock()
        try await withUpstream { peer, _ in
            guard isSlow.load(ordering: .sequentiallyConsistent) else {
                try await peer.write(Reads.reply(Reads.contactBody("Ada")))
                return true
            }
            try await peer.write("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            // Until the relay has had enough.
            while true {
                try await peer.write(" ")
                try await Task.sleep(for: .milliseconds(20))
            }
        } _: { upstream in
            try await withServer(
                upstream: upstream.url,
                clock: clock.clock,
                adjust: { $1.requestTimeout = .milliseconds(500) },
                { port, _ in
                    _ = try await RawClient.exchange(port: port, Reads.get())
                    clock.advance(seconds: 1_000)
                    isSlow.store(true, ordering: .sequentiallyConsistent)
                    let stale = try await RawClient.exchange(port: port, Reads.get())
                    #expect(stale.status == 200 && stale.body == Reads.contactBody("Ada"))
                    #expect(stale.cacheStatus.contains("detail=timeout"))
                    let nothing = try await RawClient.exchange(port: port, Reads.get(Reads.list))
                    #expect(nothing.status == 504 && nothing.field("Contact-Relay-Error") == "upstream_timeout")
                }
            )
        }
    }

    @Test("confirmations behind the scenes leave connections for those who wait")
    func bounded() async throws {
        let gate = Gate()
        let clock = MovedClock()
        let isGated = Atomic<Bool>(false)
        try await withUpstream { peer, head in
            if isGated.load(ordering: .sequentiallyConsistent), head.contains("/audiences/") { try await gate.passed() }
            try await peer.write(Reads.reply("{}", "Cache-Control: max-age=60, stale-while-revalidate=100\r\n"))
            return true
        } _: { upstream in
            try await withServer(
                upstream: upstream.url,
                clock: clock.clock,
                adjust: { $1.maxConnections = 4 },
                { port, parts in
                    let targets = (0..<8).map { "/v1/audiences/\($0)" }
                    for target in targets { _ = try await RawClient.exchange(port: port, Reads.get(target)) }
                    clock.advance(seconds: 100)
                    isGated.store(true, ordering: .sequentiallyConsistent)
                    for target in targets {
                        let stale = try await RawClient.exchange(port: port, Reads.get(target))
                        #expect(stale.cacheStatus == "contact-relay; hit; ttl=-40")
                    }
                    try await eventually("two confirmations") { gate.arrived == 2 }
                    let cold = try await RawClient.exchange(port: port, Reads.get("/v1/senders"))
                    #expect(cold.status == 200)
                    #expect(gate.arrived == 2)
                    gate.open()
                    // The others' turn comes by itself.
                    try await eventually("all to be asked for") {
                        upstream.requests.count == 2 * targets.count + 1
                    }
                    for target in targets {
                        try await eventually("a fresh reply") {
                            try await RawClient.exchange(port: port, Reads.get(target)).cacheStatus
                                == "contact-relay; hit; ttl=60"
                        }
                    }
                    #expect(upstream.requests.count == 2 * targets.count + 1)
                }
            )
        }
    }
}
