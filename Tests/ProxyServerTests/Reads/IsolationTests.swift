import ResponseCache
import Synchronization
import TestSupport
import Testing

@testable import ProxyServer

@Suite("Isolation of keys")
struct IsolationTests {
    @Test("two keys on the same URLs, interleaved at random, never see each other's replies")
    func interleaved() async throws {
        try await withUpstream { peer, head in
            let sent = RawClient.RawReply(head: head, body: "", isWhole: true)
            let target = head.split(separator: " ")[1]
            try await peer.write(Reads.reply("\(sent.field("X-Dexatel-Key") ?? "none") \(target)"))
            return true
        } _: { upstream in
            try await withServer(upstream: upstream.url) { port, parts in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for client in 0..<4 {
                        var random = SeededGenerator("isolation, client \(client)")
                        group.addTask {
                            try await RawClient.with(port: port) { connection in
                                for _ in 0..<500 {
                                    let key = ["one", "two", nil].randomElement(using: &random) ?? nil
                                    let target = "/v1/audiences/\(Int.random(in: 0..<20, using: &random))"
                                    try await connection.send(Reads.get(target, key: key))
                                    let reply = try await connection.reply()
                                    #expect(reply.body == "\(key ?? "none") \(target)", "seed \(random.seed)")
                                }
                            }
                        }
                    }
                    try await group.waitForAll()
                }
                #expect(upstream.requests.count <= 60)
                #expect(parts.cache.counters.hits > 1_000)
            }
        }
    }

    @Test("a key that is refused with 401 gets nothing from the cache until it succeeds again")
    func refusedKey() async throws {
        let isRefused = Atomic<Bool>(false)
        try await withUpstream { peer, _ in
            try await peer.write(
                isRefused.load(ordering: .sequentiallyConsistent)
                    ? Reads.reply("no", status: "401 Unauthorized") : Reads.reply(Reads.contactBody("Ada"))
            )
            return true
        } _: { upstream in
            try await withServer(upstream: upstream.url) { port, parts in
                for key in ["one", "two"] { _ = try await RawClient.exchange(port: port, Reads.get(key: key)) }
                isRefused.store(true, ordering: .sequentiallyConsistent)
                // Any request tells: here one that is passed through.
                let post = try await RawClient.exchange(port: port, Reads.request("POST", "/v1/messages"))
                #expect(post.status == 401)
                parts.openBreaker()
                let status1 = try await RawClient.exchange(port: port, Reads.get()).status
                #expect(status1 == 504)
                let status2 = try await RawClient.exchange(port: port, Reads.get(key: "two")).status
                #expect(status2 == 200)
            }
        }
    }

    @Test("a 403 drops that URL for that key, and nothing else")
    func forbidden() async throws {
        let isForbidden = Atomic<Bool>(false)
        try await withUpstream { peer, head in
            let isList = head.hasPrefix("GET \(Reads.list) ")
            try await peer.write(
                isForbidden.load(ordering: .sequentiallyConsistent)
                    ? Reads.reply("no", status: "403 Forbidden")
                    : Reads.reply(isList ? #"{"data":[]}"# : Reads.contactBody("Ada"))
            )
            return true
        } _: { upstream in
            try await withServer(upstream: upstream.url) { port, parts in
                for target in [Reads.target, Reads.list] {
                    for key in ["one", "two"] {
                        _ = try await RawClient.exchange(port: port, Reads.get(target, key: key))
                    }
                }
                isForbidden.store(true, ordering: .sequentiallyConsistent)
                let now = try await RawClient.exchange(port: port, Reads.get(fields: "Cache-Control: no-cache\r\n"))
                #expect(now.status == 403)
                parts.openBreaker()
                let status3 = try await RawClient.exchange(port: port, Reads.get()).status
                #expect(status3 == 504)
                let status4 = try await RawClient.exchange(port: port, Reads.get(Reads.list)).status
                #expect(status4 == 200)
                let status5 = try await RawClient.exchange(port: port, Reads.get(key: "two")).status
                #expect(status5 == 200)
            }
        }
    }
}
