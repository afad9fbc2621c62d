import ResponseCache
import Synchronization
import TestSupport
import Testing

@testable import ProxyServer

@Suite("Reads of what is not storable")
struct UnstorableReadTests {
    /// An upstream whose replies bear the number and the fields given, and wait for a gate.
    private final class Upstream: Sendable {
        let gate = Mutex(Gate())
        let fields: Mutex<String>
        let body: String
        private let count = Atomic<Int>(0)

        init(_ fields: String, body: String = "reply") {
            self.fields = Mutex(fields)
            self.body = body
        }

        /// Closes behind what has passed so far.
        func newGate() -> Gate {
            let new = Gate()
            gate.withLock { $0 = new }
            return new
        }

        func answer(_ peer: TestUpstream.Connection, _ head: String) async throws -> Bool {
            let (gate, fields) = (gate.withLock { $0 }, fields.withLock { $0 })
            try await gate.passed()
            let number = count.add(1, ordering: .sequentiallyConsistent).newValue
            try await peer.write(Reads.reply("\(body) \(number)", fields))
            return true
        }
    }

    private static let live = "GET /_relay/live HTTP/1.1\r\nHost: localhost\r\n\r\n"

    /// Sends reads from as many clients, and says how many replies there are once so many have reached the upstream
    /// together.
    private func readTogether(_ count: Int, _ gate: Gate, _ port: Int, _ request: String) async throws -> [RawClient
        .RawReply]
    {
        try await withThrowingTaskGroup(of: RawClient.RawReply.self) { group in
            for _ in 0..<count { group.addTask { try await RawClient.exchange(port: port, request) } }
            try await eventually("\(count) requests at the upstream") { gate.arrived == count }
            gate.open()
            return try await group.reduce(into: []) { $0.append($1) }
        }
    }

    @Test(
        "what turned out not to be storable is read by many at once, none behind another",
        arguments: [
            ("/v1/senders", "Cache-Control: no-store\r\n", ""), ("/v1/senders", "Vary: *\r\n", ""),
            ("/v1/senders", "", ""),
            ("/v1/senders", "Cache-Control: max-age=9, private\r\n", "Authorization: one\r\n"),
            (Reads.target, "Cache-Control: no-store\r\n", ""),
        ]
    )
    func together(target: String, fields: String, asking: String) async throws {
        let script = Upstream(fields)
        script.gate.withLock { $0.open() }
        try await withUpstream(script.answer) { upstream in
            try await withServer(upstream: upstream.url) { port, _ in
                let request = Reads.get(target, asking)
                _ = try await RawClient.exchange(port: port, request)
                let replies = try await readTogether(6, script.newGate(), port, request)
                #expect(Set(replies.map(\.body)).count == 6)
                #expect(
                    replies.allSatisfy { $0.status == 200 && $0.cacheStatus.contains("fwd=uri-miss; fwd-status=200") }
                )
            }
        }
    }

    @Test("a body that turned out to be too long to be stored is read by many at once, too")
    func tooLong() async throws {
        let script = Upstream("Cache-Control: max-age=60\r\n", body: String(repeating: "x", count: 2_000))
        script.gate.withLock { $0.open() }
        try await withUpstream(script.answer) { upstream in
            try await withServer(upstream: upstream.url, cache: .with(maxObjectBytes: 1_024)) { port, _ in
                let request = Reads.get("/v1/senders")
                _ = try await RawClient.exchange(port: port, request)
                let replies = try await readTogether(6, script.newGate(), port, request)
                #expect(Set(replies.map(\.body)).count == 6)
            }
        }
    }

    @Test("once it is storable again its reads share one fetch, and a while after it was not they try to")
    func sharedAgain() async throws {
        let (script, clock) = (Upstream("Cache-Control: no-store\r\n"), MovedClock())
        script.gate.withLock { $0.open() }
        try await withUpstream(script.answer) { upstream in
            try await withServer(upstream: upstream.url, clock: clock.clock) { port, _ in
                _ = try await RawClient.exchange(port: port, Reads.get("/v1/senders"))
                script.fields.withLock { $0 = "Cache-Control: max-age=5\r\n" }
                let stored = try await RawClient.exchange(port: port, Reads.get("/v1/senders"))
                #expect(stored.cacheStatus.contains("stored"))
                clock.advance(seconds: 6)
                try await share(script, upstream, port)
                script.fields.withLock { $0 = "Cache-Control: no-store\r\n" }
                clock.advance(seconds: 6)
                let unstorable = try await RawClient.exchange(port: port, Reads.get("/v1/senders"))
                #expect(unstorable.cacheStatus.contains("detail=no-store"))
                clock.advance(seconds: ReadParts.unstorableMilliseconds / 1000)
                script.fields.withLock { $0 = "Cache-Control: max-age=5\r\n" }
                try await share(script, upstream, port)
            }
        }
    }

    /// Has two clients read at once, and expects that the upstream is asked once.
    private func share(_ script: Upstream, _ upstream: TestUpstream, _ port: Int) async throws {
        let before = upstream.requests.count
        let gate = script.newGate()
        try await RawClient.with(port: port) { first in
            try await first.send(Reads.get("/v1/senders"))
            try await eventually("the fetch") { gate.arrived == 1 }
            try await RawClient.with(port: port) { second in
                try await second.send(Reads.get("/v1/senders"))
                // One event loop: it has joined when this is answered.
                _ = try await RawClient.exchange(port: port, Self.live)
                gate.open()
                let one = try await first.reply()
                let other = try await second.reply()
                #expect(one.status == 200 && other.body == one.body)
            }
        }
        #expect(upstream.requests.count == before + 1)
    }

    @Test("what is not stored for one client's own reasons is still shared by the others")
    func ownReasons() async throws {
        let (script, clock) = (Upstream("Cache-Control: max-age=5\r\n"), MovedClock())
        script.gate.withLock { $0.open() }
        try await withUpstream(script.answer) { upstream in
            try await withServer(upstream: upstream.url, clock: clock.clock) { port, _ in
                for fields in ["Cache-Control: no-store\r\n", "Authorization: own\r\n"] {
                    let own = try await RawClient.exchange(port: port, Reads.get("/v1/senders", fields))
                    #expect(own.status == 200 && !own.cacheStatus.contains("stored"))
                }
                try await share(script, upstream, port)
            }
        }
    }

    @Test("nobody waits for the reply to a request that says no-store")
    func requestNoStore() async throws {
        let script = Upstream("Cache-Control: max-age=60\r\n")
        try await withUpstream(script.answer) { upstream in
            try await withServer(upstream: upstream.url) { port, _ in
                try await RawClient.with(port: port) { own in
                    let gate = script.gate.withLock { $0 }
                    try await own.send(Reads.get("/v1/senders", "Cache-Control: no-store\r\n"))
                    try await eventually("the first fetch") { gate.arrived == 1 }
                    try await RawClient.with(port: port) { other in
                        try await other.send(Reads.get("/v1/senders"))
                        try await eventually("the second fetch") { gate.arrived == 2 }
                        gate.open()
                        let reply = try await other.reply()
                        #expect(reply.cacheStatus.contains("stored"))
                        let first = try await own.reply()
                        #expect(first.cacheStatus.contains("detail=request-no-store"))
                    }
                }
            }
        }
    }

    @Test(
        "a request for the upstream's own word never joins an earlier fetch, and a later one may join it",
        arguments: ["Cache-Control: no-cache\r\n", "Pragma: no-cache\r\n", "Cache-Control: max-age=0\r\n"]
    )
    func noCache(field: String) async throws {
        let script = Upstream("")
        try await withUpstream(script.answer) { upstream in
            try await withServer(upstream: upstream.url) { port, _ in
                try await RawClient.with(port: port) { earlier in
                    let gate = script.gate.withLock { $0 }
                    try await earlier.send(Reads.get())
                    try await eventually("the first fetch") { gate.arrived == 1 }
                    try await RawClient.with(port: port) { own in
                        try await own.send(Reads.get(fields: field))
                        try await eventually("the second fetch") { gate.arrived == 2 }
                        try await RawClient.with(port: port) { later in
                            try await later.send(Reads.get())
                            _ = try await RawClient.exchange(port: port, Self.live)
                            gate.open()
                            for client in [earlier, own, later] {
                                let reply = try await client.reply()
                                #expect(reply.status == 200)
                            }
                        }
                    }
                }
                #expect(upstream.requests.count == 2)
            }
        }
    }
}
