import DexatelAPI
import NIOCore
import Outbox
import ResponseCache
import Synchronization
import TestSupport
import Testing

@testable import ProxyServer

@Suite("Reads with pending writes")
struct OverlaidReadTests {
    private static let list =
        #"{"data":[\#(Reads.contactBody("Ada").dropFirst(8).dropLast(1)),{"id":"x"}],"pagination":{"total":2}}"#

    private func upstreamScript(_ peer: TestUpstream.Connection, _ head: String) async throws -> Bool {
        let target = head.split(separator: " ")[1]
        let isList = target.hasPrefix(Reads.list) && !target.hasPrefix(Reads.target)
        try await peer.write(Reads.reply(isList ? Self.list : Reads.contactBody("Ada"), "ETag: \"up\"\r\n"))
        return true
    }

    @Test(
        "a pending write shows in the contact and in the list, for its key alone, with headers and an ETag of its own"
    )
    func pending() async throws {
        try await withUpstream(upstreamScript) { upstream in
            try await withServer(upstream: upstream.url) { port, _ in
                let spelled = Reads.list + "/?page_size=2"
                for target in [Reads.target, Reads.list + "?page_size=2", spelled] {
                    _ = try await RawClient.exchange(port: port, Reads.get(target))
                }
                let put = try await RawClient.exchange(port: port, Reads.put(#""first_name":"Zoe""#))
                #expect(put.status == 202)
                for target in [Reads.target, Reads.list + "?page_size=2", spelled, Reads.target] {
                    let reply = try await RawClient.exchange(port: port, Reads.get(target))
                    #expect(reply.status == 200 && reply.body.contains(#""first_name":"Zoe","last_name":"L""#))
                    #expect(reply.field("Contact-Relay-Pending") == "1")
                    #expect(reply.field("Contact-Relay-Overlay") == "partial")
                    let tag = try #require(reply.field("ETag"))
                    #expect(tag.hasPrefix("\"relay-"))
                    let same = try await RawClient.exchange(port: port, Reads.get(target, "If-None-Match: \(tag)\r\n"))
                    #expect(same.status == 304 && same.field("Contact-Relay-Pending") == "1")
                    #expect(same.field("Contact-Relay-Overlay") == "partial")
                    let upstreams = try await RawClient.exchange(
                        port: port,
                        Reads.get(target, "If-None-Match: \"up\"\r\n")
                    )
                    #expect(upstreams.status == 200)
                }
                let other = try await RawClient.exchange(port: port, Reads.get(key: "two"))
                #expect(other.body == Reads.contactBody("Ada") && other.field("Contact-Relay-Pending") == nil)
            }
        }
    }

    @Test("the ETag of a pending DELETE, or of a pending PUT, stays the same while nothing changes")
    func stableTag() async throws {
        let clock = MovedClock()
        try await withUpstream(upstreamScript) { upstream in
            try await withServer(upstream: upstream.url, clock: clock.clock) { port, _ in
                for (write, status) in [
                    (Reads.put(#""first_name":"Zoe""#), 200),
                    (Reads.request("DELETE", Reads.target, "Prefer: respond-async\r\n"), 404),
                ] {
                    let accepted = try await RawClient.exchange(port: port, write)
                    #expect(accepted.status == 202)
                    var tags: Set<String> = []
                    for _ in 0..<3 {
                        // The next one is revalidated or rendered anew.
                        clock.advance(seconds: 70)
                        let reply = try await RawClient.exchange(port: port, Reads.get())
                        #expect(reply.status == status)
                        tags.insert(try #require(reply.field("ETag")))
                    }
                    #expect(tags.count == 1)
                }
            }
        }
    }

    @Test("the upstream's Age is kept on a miss, with writes laid over the reply, too")
    func age() async throws {
        try await withUpstream { peer, head in
            let isList = head.hasPrefix("GET \(Reads.list) ")
            let body = isList ? Self.list : Reads.contactBody("Ada")
            try await peer.write(Reads.reply(body, "Age: 20\r\nCache-Control: max-age=60\r\n"))
            return true
        } _: { upstream in
            try await withServer(upstream: upstream.url) { port, _ in
                for name in ["Ada", "Zoe"] {
                    for target in [Reads.target, Reads.list] {
                        let miss = try await RawClient.exchange(port: port, Reads.get(target))
                        #expect(miss.cacheStatus.contains("fwd-status=200") && miss.body.contains(name))
                        #expect(miss.fields("Age") == ["20"])
                    }
                    _ = try await RawClient.exchange(port: port, Reads.put(#""first_name":"Zoe""#))
                }
            }
        }
    }

    @Test(
        "RFC 9110 §13.1.3 If-Modified-Since does not hide a write, pending or delivered, before a restart or after it"
    )
    func modifiedSince() async throws {
        let (clock, folder) = (MovedClock(), try TemporaryDirectory())
        let (date, now) = ("Tue, 14 Nov 2023 22:13:20 GMT", "Tue, 14 Nov 2023 22:13:30 GMT")
        func expectZoe(_ port: Int, _ fields: [String]) async throws {
            for field in fields {
                let reply = try await RawClient.exchange(
                    port: port,
                    Reads.get(fields: "If-Modified-Since: \(field)\r\n")
                )
                #expect(reply.status == 200 && reply.body.contains("Zoe"), "\(field)")
            }
        }
        try await withUpstream { peer, _ in
            try await peer.write(Reads.reply(Reads.contactBody("Ada"), "Date: \(date)\r\nLast-Modified: \(date)\r\n"))
            return true
        } _: { upstream in
            try await withServer(upstream: upstream.url, over: folder, clock: clock.clock) { port, parts in
                _ = try await RawClient.exchange(port: port, Reads.get())
                let same = try await RawClient.exchange(port: port, Reads.get(fields: "If-Modified-Since: \(date)\r\n"))
                #expect(same.status == 304)
                clock.advance(seconds: 10)
                _ = try await RawClient.exchange(port: port, Reads.put(#""first_name":"Zoe""#))
                try await expectZoe(port, [date, now])
                try await parts.deliverAndLose(replying: Reads.contactBody("Zoe"))
                try await expectZoe(port, [date, now])
            }
        }
        try await withServer(upstream: "http://127.0.0.1:9", over: folder, clock: clock.clock) { port, parts in
            parts.openBreaker()
            try await expectZoe(port, [date, now])
        }
    }

    @Test("a contact whose replies vary is brought up to date by a delivery, too, in memory and on disk")
    func varying() async throws {
        let (clock, folder) = (MovedClock(), try TemporaryDirectory())
        try await withUpstream { peer, _ in
            try await peer.write(Reads.reply(Reads.contactBody("Ada"), "Vary: Accept-Encoding\r\n"))
            return true
        } _: { upstream in
            try await withServer(upstream: upstream.url, over: folder, clock: clock.clock) { port, parts in
                _ = try await RawClient.exchange(port: port, Reads.get(fields: "Accept-Encoding: gzip\r\n"))
                let other = try await RawClient.exchange(port: port, Reads.get())
                #expect(other.cacheStatus.contains("; hit;") && upstream.requests.count == 1)
                clock.advance(seconds: 1)
                _ = try await RawClient.exchange(port: port, Reads.put(#""first_name":"Zoe""#))
                try await parts.deliverAndLose(replying: Reads.contactBody("Zoe"))
                let reply = try await RawClient.exchange(port: port, Reads.get(fields: "Accept-Encoding: br\r\n"))
                #expect(reply.status == 200 && reply.body == Reads.contactBody("Zoe"))
            }
        }
        try await withServer(upstream: "http://127.0.0.1:9", over: folder, clock: clock.clock) { port, parts in
            parts.openBreaker()
            let reply = try await RawClient.exchange(port: port, Reads.get())
            #expect(reply.status == 200 && reply.body == Reads.contactBody("Zoe"))
        }
    }

    @Test("P5 a 404 from before does not stand in for a contact that was updated since; it says what is pending")
    func notFoundBefore() async throws {
        let clock = MovedClock()
        let error = #"{"errors":[{"status":404,"message":"no","code":1351}]}"#
        try await withUpstream { peer, _ in
            try await peer.write(Reads.reply(error, status: "404 Not Found"))
            return true
        } _: { upstream in
            try await withServer(upstream: upstream.url, clock: clock.clock) { port, parts in
                _ = try await RawClient.exchange(port: port, Reads.get())
                clock.advance(seconds: 1)
                _ = try await RawClient.exchange(port: port, Reads.put(#""first_name":"Zoe""#))
                let pending = try await RawClient.exchange(port: port, Reads.get())
                #expect(pending.status == 404 && pending.field("Contact-Relay-Pending") == "1")
                #expect(pending.body == error)
                try await parts.deliverAndLose(replying: Reads.contactBody("Zoe"))
                let delivered = try await RawClient.exchange(port: port, Reads.get())
                #expect(delivered.status == 504)
            }
        }
    }

    @Test("a compressed contact from before a delivery says that something may be missing")
    func compressedBefore() async throws {
        let clock = MovedClock()
        try await withUpstream { peer, _ in
            try await peer.write(Reads.reply("\u{1F}zipped", "Content-Encoding: gzip\r\n"))
            return true
        } _: { upstream in
            try await withServer(upstream: upstream.url, clock: clock.clock) { port, parts in
                let before = try await RawClient.exchange(port: port, Reads.get())
                #expect(before.field("Contact-Relay-Overlay") == nil)
                clock.advance(seconds: 1)
                _ = try await RawClient.exchange(port: port, Reads.put(#""first_name":"Zoe""#))
                try await parts.deliverAndLose(replying: Reads.contactBody("Zoe"))
                let reply = try await RawClient.exchange(port: port, Reads.get())
                #expect(reply.body == "\u{1F}zipped" && reply.field("Contact-Relay-Overlay") == "partial")
            }
        }
    }

    @Test("no-cache and no-store still get what is pending")
    func uncached() async throws {
        try await withUpstream { peer, _ in
            try await peer.write(Reads.reply(Reads.contactBody("Ada"), "Cache-Control: no-store\r\n"))
            return true
        } _: { upstream in
            try await withServer(upstream: upstream.url) { port, _ in
                _ = try await RawClient.exchange(port: port, Reads.put(#""first_name":"Zoe""#))
                let reply = try await RawClient.exchange(port: port, Reads.get(fields: "Cache-Control: no-cache\r\n"))
                #expect(reply.body == Reads.contactBody("Zoe") && reply.field("Contact-Relay-Pending") == "1")
                #expect(reply.cacheStatus.contains("detail=no-store"))
            }
        }
    }

    @Test("a compressed reply goes out as it is, and says that something may be missing")
    func compressed() async throws {
        try await withUpstream { peer, _ in
            try await peer.write(Reads.reply("\u{1F}zipped", "Content-Encoding: gzip\r\n"))
            return true
        } _: { upstream in
            try await withServer(upstream: upstream.url) { port, _ in
                _ = try await RawClient.exchange(port: port, Reads.put(#""first_name":"Zoe""#))
                let reply = try await RawClient.exchange(port: port, Reads.get())
                #expect(reply.body == "\u{1F}zipped" && reply.field("Contact-Relay-Overlay") == "partial")
                #expect(reply.field("Contact-Relay-Pending") == nil)
            }
        }
    }

    @Test("a pending DELETE reads as 404 with code 1351, and the contact is gone from the list")
    func deleted() async throws {
        try await withUpstream(upstreamScript) { upstream in
            try await withServer(upstream: upstream.url) { port, parts in
                for target in [Reads.target, Reads.list] {
                    _ = try await RawClient.exchange(port: port, Reads.get(target))
                }
                let delete = try await RawClient.exchange(
                    port: port,
                    Reads.request("DELETE", Reads.target, "Prefer: respond-async\r\n")
                )
                #expect(delete.status == 202)
                parts.openBreaker()
                let contact = try await RawClient.exchange(port: port, Reads.get())
                #expect(contact.status == 404 && contact.body.contains("\"code\":1351"))
                #expect(contact.field("Contact-Relay-Pending") == "1")
                let list = try await RawClient.exchange(port: port, Reads.get(Reads.list))
                #expect(list.body == #"{"data":[{"id":"x"}],"pagination":{"total":2}}"#)
            }
        }
    }

    @Test("without anything stored and with the upstream away a read says how many writes are pending")
    func noBase() async throws {
        try await withServer(upstream: "http://127.0.0.1:9") { port, parts in
            parts.openBreaker()
            for name in ["A", "B"] {
                _ = try await RawClient.exchange(port: port, Reads.put("\"first_name\":\"\(name)\""))
            }
            let reply = try await RawClient.exchange(port: port, Reads.get())
            #expect(reply.status == 504 && reply.field("Contact-Relay-Pending") == "2")
            _ = try await RawClient.exchange(
                port: port,
                Reads.request("DELETE", Reads.target, "Prefer: respond-async\r\n")
            )
            let deleted = try await RawClient.exchange(port: port, Reads.get())
            #expect(deleted.status == 404 && deleted.field("Contact-Relay-Pending") == "3")
        }
    }

    @Test("a slow GET that began before a delivery never brings the older value back")
    func slowRead() async throws {
        let gate = Gate()
        let reads = Atomic<Int>(0)
        try await withUpstream { peer, head in
            let number = reads.add(1, ordering: .sequentiallyConsistent).newValue
            // The second read has seen the value from before the delivery, and takes its time.
            if number == 2 { try await gate.passed() }
            try await peer.write(Reads.reply(Reads.contactBody("Ada")))
            return true
        } _: { upstream in
            try await withServer(upstream: upstream.url) { port, parts in
                parts.transport.replyBody.withLock { $0 = Reads.contactBody("Zoe") }
                _ = try await RawClient.exchange(port: port, Reads.get())
                try await RawClient.with(port: port) { slow in
                    try await slow.send(Reads.get(fields: "Cache-Control: no-cache\r\n"))
                    try await eventually("the slow read") { gate.arrived == 1 }
                    _ = try await RawClient.exchange(port: port, Reads.put(#""first_name":"Zoe""#))
                    parts.transport.open()
                    parts.outbox.upstreamRecovered()
                    try await eventually("the delivery") { parts.outbox.committedCounts.delivered == 1 }
                    gate.open()
                    let reply = try await slow.reply()
                    #expect(reply.body == Reads.contactBody("Zoe"))
                }
                parts.openBreaker()
                let later = try await RawClient.exchange(port: port, Reads.get())
                #expect(later.body == Reads.contactBody("Zoe") && later.field("Contact-Relay-Pending") == nil)
            }
        }
    }

    @Test("delivered values stay laid over pages that were fetched before", arguments: [16_384, 0])
    func deliveredOverPages(maxDelivered: Int) async throws {
        try await withUpstream(upstreamScript) { upstream in
            try await withServer(upstream: upstream.url, maxDelivered: maxDelivered) { port, parts in
                parts.transport.replyBody.withLock { $0 = Reads.contactBody("Zoe") }
                for target in [Reads.target, Reads.list] {
                    _ = try await RawClient.exchange(port: port, Reads.get(target))
                }
                _ = try await RawClient.exchange(port: port, Reads.put(#""first_name":"Zoe""#))
                parts.transport.open()
                parts.outbox.upstreamRecovered()
                try await eventually("the delivery") { parts.outbox.committedCounts.delivered == 1 }
                parts.openBreaker()
                let contact = try await RawClient.exchange(port: port, Reads.get())
                #expect(contact.status == 200 && contact.body == Reads.contactBody("Zoe"))
                let list = try await RawClient.exchange(port: port, Reads.get(Reads.list))
                if maxDelivered > 0 {
                    #expect(list.status == 200 && list.body.contains("Zoe"))
                } else {
                    // Without room to remember, a page from before is not shown any more: rather nothing than old.
                    #expect(list.status == 504)
                }
            }
        }
    }

    @Test("reads by one client always show its own acknowledged writes, while deliveries go on", arguments: [1, 2, 3])
    func ownWrites(round: Int) async throws {
        var random = SeededGenerator("own writes \(round)")
        let stored = Mutex("Ada")
        try await withUpstream { peer, _ in
            try await peer.write(Reads.reply(Reads.contactBody(stored.withLock { $0 })))
            return true
        } _: { upstream in
            try await withServer(upstream: upstream.url, deliversAtOnce: true) { port, parts in
                parts.transport.onSend.withLock {
                    $0 = { delivery in
                        let body = String(buffer: delivery.payload.body)
                        let name = body.split(separator: "\"").dropFirst(5).first.map(String.init) ?? ""
                        stored.withLock { $0 = name }
                        return Reads.contactBody(name)
                    }
                }
                try await RawClient.with(port: port) { client in
                    var last = "Ada"
                    for number in 0..<300 {
                        if random.chance(oneIn: 2) {
                            last = "N\(number)"
                            try await client.send(Reads.put("\"first_name\":\"\(last)\""))
                            let put = try await client.reply()
                            #expect([200, 202].contains(put.status))
                        } else {
                            try await client.send(Reads.get())
                            let reply = try await client.reply()
                            #expect(reply.body == Reads.contactBody(last), "seed \(random.seed), step \(number)")
                        }
                    }
                }
            }
        }
    }
}
