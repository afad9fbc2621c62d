import NIOCore
import ResponseCache
import Synchronization
import TestSupport
import Testing

@testable import ProxyServer

@Suite("Cached reads")
struct CachedReadTests {
    @Test("the second read is a hit that the upstream does not see, and says so")
    func hit() async throws {
        try await withUpstream { peer, _ in
            try await peer.write(Reads.reply(Reads.contactBody("Ada"), "X-Up: 1\r\nConnection: X-Hop\r\nX-Hop: 2\r\n"))
            return true
        } _: { upstream in
            try await withServer(upstream: upstream.url) { port, _ in
                let first = try await RawClient.exchange(port: port, Reads.get())
                #expect(first.cacheStatus == "contact-relay; fwd=uri-miss; fwd-status=200; stored; ttl=60")
                let second = try await RawClient.exchange(port: port, Reads.get())
                #expect(second.status == 200 && second.body == first.body)
                #expect(second.cacheStatus.hasPrefix("contact-relay; hit; ttl="))
                #expect(second.field("Age") != nil && second.field("Via") == "1.1 contact-relay")
                #expect(second.field("X-Up") == "1" && second.field("X-Hop") == nil)
                #expect(upstream.requests.count == 1)
            }
        }
    }

    @Test("HEAD, conditions and ranges are answered from what a GET has stored")
    func fromStored() async throws {
        try await withUpstream { peer, _ in
            try await peer.write(Reads.reply(Reads.contactBody("Ada"), "ETag: \"v1\"\r\n"))
            return true
        } _: { upstream in
            try await withServer(upstream: upstream.url) { port, _ in
                let whole = try await RawClient.exchange(port: port, Reads.get())
                let head = try await RawClient.exchange(port: port, Reads.request("HEAD", Reads.target))
                #expect(head.status == 200 && head.field("Content-Length") == String(whole.body.utf8.count))
                let same = try await RawClient.exchange(port: port, Reads.get(fields: "If-None-Match: \"v1\"\r\n"))
                #expect(same.status == 304 && same.field("ETag") == "\"v1\"")
                let other = try await RawClient.exchange(port: port, Reads.get(fields: "If-None-Match: \"v2\"\r\n"))
                #expect(other.status == 200 && other.body == whole.body)
                let part = try await RawClient.exchange(port: port, Reads.get(fields: "Range: bytes=2-5\r\n"))
                #expect(part.status == 206 && part.body == "data")
                #expect(upstream.requests.count == 1)
            }
        }
    }

    @Test("a HEAD and a condition on something cold fetch the whole reply, which then serves everybody")
    func coldConditions() async throws {
        try await withUpstream { peer, _ in
            try await peer.write(Reads.reply(Reads.contactBody("Ada"), "ETag: \"v1\"\r\n"))
            return true
        } _: { upstream in
            try await withServer(upstream: upstream.url) { port, _ in
                let same = try await RawClient.exchange(port: port, Reads.get(fields: "If-None-Match: \"v1\"\r\n"))
                #expect(same.status == 304 && same.cacheStatus.contains("fwd=uri-miss; fwd-status=200; stored"))
                let head = try await RawClient.exchange(port: port, Reads.request("HEAD", Reads.list + "?page_size=1"))
                #expect(head.status == 200)
                #expect(upstream.requests.allSatisfy { $0.hasPrefix("GET ") && !$0.contains("If-None-Match") })
                #expect(upstream.requests.count == 2)
            }
        }
    }

    @Test("contacts are asked for in identity coding, whatever the client accepts")
    func identity() async throws {
        try await withUpstream { peer, _ in
            try await peer.write(Reads.reply(Reads.contactBody("Ada")))
            return true
        } _: { upstream in
            try await withServer(upstream: upstream.url) { port, _ in
                _ = try await RawClient.exchange(port: port, Reads.get(fields: "Accept-Encoding: gzip, br\r\n"))
                let sent = RawClient.RawReply(head: upstream.requests.first ?? "", body: "", isWhole: true)
                #expect(sent.fields("Accept-Encoding") == ["identity"])
                #expect(sent.fields("X-Dexatel-Key") == ["one"])
            }
        }
    }

    @Test(
        "RFC 9111 §7.3 a cookie goes to the client whose request fetched it, however it is served, and to no other",
        arguments: [Reads.target, Reads.list, "/v1/templates", "/v1/fails"]
    )
    func cookies(target: String) async throws {
        let gate = Gate()
        let number = Atomic<Int>(0)
        try await withUpstream { peer, head in
            let number = number.add(1, ordering: .sequentiallyConsistent).newValue
            if number == 1 { try await gate.passed() }
            let body = target == Reads.list ? #"{"data":[]}"# : Reads.contactBody("Ada")
            let status = target == "/v1/fails" ? "503 Service Unavailable" : "200 OK"
            let fields = "Cache-Control: max-age=60\r\nETag: \"v\"\r\nSet-Cookie: a=\(number)\r\nSet-Cookie: b=2\r\n"
            try await peer.write(Reads.reply(body, status: status, fields))
            return true
        } _: { upstream in
            try await withServer(upstream: upstream.url) { port, parts in
                try await RawClient.with(port: port) { first in
                    // It waits for the whole reply, as it has a condition.
                    try await first.send(Reads.get(target, "If-None-Match: \"v\"\r\n"))
                    try await eventually("the read") { gate.arrived == 1 }
                    try await RawClient.with(port: port) { second in
                        try await second.send(Reads.get(target))
                        try await eventually("the second one") { parts.cache.counters.misses == 2 }
                        gate.open()
                        let (own, shared) = (try await first.reply(), try await second.reply())
                        #expect(own.fields("Set-Cookie") == ["a=1", "b=2"])
                        #expect(shared.fields("Set-Cookie").isEmpty && shared.cacheStatus.contains("collapsed"))
                    }
                }
                let fetched = try await RawClient.exchange(
                    port: port,
                    Reads.get(target, "Cache-Control: no-cache\r\n")
                )
                #expect(fetched.fields("Set-Cookie") == ["a=2", "b=2"])
                let hit = try await RawClient.exchange(port: port, Reads.get(target))
                #expect(hit.cacheStatus.contains("; hit;") && hit.fields("Set-Cookie").isEmpty)
            }
        }
    }

    @Test("a fresh miss is streamed to its client while it is stored")
    func streamed() async throws {
        let gate = Gate()
        try await withUpstream { peer, _ in
            try await peer.write("HTTP/1.1 200 OK\r\nCache-Control: max-age=9\r\nContent-Length: 8\r\n\r\nhalf")
            try await gate.passed()
            try await peer.write("half")
            return true
        } _: { upstream in
            try await withServer(upstream: upstream.url) { port, _ in
                try await RawClient.with(port: port) { client in
                    try await client.send(Reads.get("/v1/templates"))
                    let head = await client.head()
                    #expect(head?.contains("fwd=uri-miss; fwd-status=200; stored; ttl=9") == true)
                    // The second half is not there yet.
                    let bytes = await client.bytes()
                    #expect(bytes.map { String(buffer: $0) } == "half")
                    gate.open()
                    let rest = await client.bytes()
                    #expect(rest.map { String(buffer: $0) } == "half")
                }
                let hit = try await RawClient.exchange(port: port, Reads.get("/v1/templates"))
                #expect(hit.body == "halfhalf" && hit.cacheStatus.contains("; hit;"))
                #expect(upstream.requests.count == 1)
            }
        }
    }

    @Test("what turns out to be too long, or must not be stored, is streamed and asked for again")
    func notStored() async throws {
        let long = String(repeating: "x", count: 3_000)
        let replies = [
            "/long": Reads.reply(long, "Cache-Control: max-age=9\r\n"),
            "/chunked": "HTTP/1.1 200 OK\r\nCache-Control: max-age=9\r\nTransfer-Encoding: chunked\r\n\r\n"
                + "bb8\r\n\(long)\r\n0\r\n\r\n",
            "/secret": Reads.reply("secret", "Cache-Control: no-store\r\n"),
            "/plain": Reads.reply("no word on freshness outside of audiences"),
        ]
        try await withUpstream { peer, head in
            try await peer.write(replies[String(head.split(separator: " ")[1])] ?? "")
            return true
        } _: { upstream in
            try await withServer(upstream: upstream.url, cache: .with(maxObjectBytes: 2_000)) { port, _ in
                for target in replies.keys.sorted() {
                    for _ in 1...2 {
                        let reply = try await RawClient.exchange(port: port, Reads.get(target))
                        #expect(reply.status == 200 && reply.isWhole && replies[target]?.contains(reply.body) == true)
                        #expect(reply.cacheStatus.contains("fwd=uri-miss") && !reply.cacheStatus.contains("stored"))
                    }
                }
                #expect(upstream.requests.count == 2 * replies.count)
            }
        }
    }

    @Test("a read with a body, a precondition or a barrier is the upstream's alone")
    func bypass() async throws {
        try await withUpstream { peer, head in
            if head.contains("Content-Length: 2") { _ = try await peer.bytes() }
            try await peer.write(Reads.reply(Reads.contactBody("Ada")))
            return true
        } _: { upstream in
            try await withServer(upstream: upstream.url) { port, _ in
                _ = try await RawClient.exchange(port: port, Reads.get())
                for fields in ["If-Match: \"a\"\r\n", "Prefer: relay-barrier\r\n"] {
                    let reply = try await RawClient.exchange(port: port, Reads.get(fields: fields))
                    #expect(reply.cacheStatus == "contact-relay; fwd=bypass; fwd-status=200")
                }
                let withBody = try await RawClient.exchange(
                    port: port,
                    Reads.get(fields: "Content-Length: 2\r\n") + "{}"
                )
                #expect(withBody.cacheStatus == "contact-relay; fwd=bypass; fwd-status=200")
                #expect(upstream.requests.count == 4)
            }
        }
    }

    @Test("only-if-cached is answered without the upstream")
    func onlyIfCached() async throws {
        try await withServer(upstream: "http://127.0.0.1:9") { port, _ in
            let reply = try await RawClient.exchange(port: port, Reads.get(fields: "Cache-Control: only-if-cached\r\n"))
            #expect(reply.status == 504 && reply.field("Contact-Relay-Error") == "not_cached")
        }
    }

    @Test("a reply to an unsafe request that is passed through puts what is stored in doubt")
    func invalidation() async throws {
        try await withUpstream { peer, head in
            try await peer.write(
                head.hasPrefix("POST") ? Reads.reply("{}", status: "201 Created") : Reads.reply(#"{"data":[]}"#)
            )
            return true
        } _: { upstream in
            try await withServer(upstream: upstream.url) { port, _ in
                for expected in ["uri-miss", "hit"] {
                    let reply = try await RawClient.exchange(port: port, Reads.get(Reads.list))
                    #expect(reply.cacheStatus.contains(expected))
                }
                _ = try await RawClient.exchange(port: port, Reads.request("POST", Reads.list))
                let after = try await RawClient.exchange(port: port, Reads.get(Reads.list))
                #expect(after.cacheStatus.contains("fwd=stale"))
                #expect(upstream.requests.count == 3)
            }
        }
    }

    @Test("pipelined reads are answered in order, hits behind misses too")
    func pipelined() async throws {
        try await withUpstream { peer, head in
            try await peer.write(Reads.reply(String(head.split(separator: " ")[1])))
            return true
        } _: { upstream in
            try await withServer(upstream: upstream.url) { port, _ in
                let targets = ["a", "b", "a", "c", "b", "a"].map { "/v1/audiences/\($0)" }
                try await RawClient.with(port: port) { client in
                    try await client.send(targets.map { Reads.get($0) }.joined())
                    for target in targets {
                        let reply = try await client.reply()
                        #expect(reply.body == target)
                    }
                }
                #expect(upstream.requests.count == 3)
            }
        }
    }
}
