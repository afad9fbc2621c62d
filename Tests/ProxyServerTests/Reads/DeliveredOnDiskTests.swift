import Outbox
import ResponseCache
import TestSupport
import Testing

@testable import ProxyServer

@Suite("Delivered writes and what the disk has of their contacts")
struct DeliveredOnDiskTests {
    private static func answer(_ peer: TestUpstream.Connection, _ head: String) async throws -> Bool {
        try await peer.write(Reads.reply(Reads.contactBody("Ada")))
        return true
    }

    private static func answerNotFound(_ peer: TestUpstream.Connection, _ head: String) async throws -> Bool {
        try await peer.write(Reads.reply(#"{"errors":[{"code":1351}]}"#, status: "404 Not Found"))
        return true
    }

    /// A state directory whose cache holds these targets on disk, all with `Ada`, or with a 404.
    private func folder(
        holding targets: [String] = [Reads.target],
        notFound: Bool = false,
        _ clock: MovedClock
    ) async throws -> TemporaryDirectory {
        let folder = try TemporaryDirectory()
        try await withUpstream(notFound ? Self.answerNotFound : Self.answer) { upstream in
            try await withServer(upstream: upstream.url, over: folder, clock: clock.clock) { port, _ in
                for target in targets { _ = try await RawClient.exchange(port: port, Reads.get(target)) }
            }
        }
        return folder
    }

    @Test(
        "P5 a contact that only the disk has does not come back older than a delivery that is no longer remembered",
        arguments: ["PUT", "DELETE"]
    )
    func forgotten(method: String) async throws {
        let clock = MovedClock()
        let folder = try await folder(clock)
        try await withServer(upstream: "http://127.0.0.1:9", over: folder, clock: clock.clock, maxDelivered: 0) {
            port,
            parts in
            clock.advance(seconds: 1)
            let request =
                method == "PUT"
                ? Reads.put(#""first_name":"Zoe""#) : Reads.request(method, Reads.target, "Prefer: respond-async\r\n")
            let write = try await RawClient.exchange(port: port, request)
            #expect(write.status == 202)
            try await parts.deliverAndLose(replying: method == "PUT" ? Reads.contactBody("Zoe") : "")
            let reply = try await RawClient.exchange(port: port, Reads.get())
            #expect(reply.status == 504)
        }
        // Nor after a restart.
        try await withServer(upstream: "http://127.0.0.1:9", over: folder, clock: clock.clock) { port, parts in
            parts.openBreaker()
            let reply = try await RawClient.exchange(port: port, Reads.get())
            #expect(reply.status == 504)
        }
    }

    @Test("P5 other spellings and queries of a contact, which only the disk has, do not come back either")
    func queries() async throws {
        let clock = MovedClock()
        let targets = [Reads.target + "?fields=all", Reads.list + "/" + Reads.contact.uppercased()]
        let folder = try await folder(holding: targets, clock)
        try await withServer(upstream: "http://127.0.0.1:9", over: folder, clock: clock.clock, maxDelivered: 0) {
            port,
            parts in
            clock.advance(seconds: 1)
            _ = try await RawClient.exchange(port: port, Reads.put(#""first_name":"Zoe""#))
            try await parts.deliverAndLose(replying: Reads.contactBody("Zoe"))
            for target in targets {
                let reply = try await RawClient.exchange(port: port, Reads.get(target))
                #expect(reply.status == 504, "\(target)")
            }
        }
    }

    @Test("P5 a 404 that only the disk has does not come back for a contact that was updated since")
    func notFoundBefore() async throws {
        let clock = MovedClock()
        let folder = try await folder(notFound: true, clock)
        try await withServer(upstream: "http://127.0.0.1:9", over: folder, clock: clock.clock) { port, parts in
            clock.advance(seconds: 1)
            _ = try await RawClient.exchange(port: port, Reads.put(#""first_name":"Zoe""#))
            try await parts.deliverAndLose(replying: Reads.contactBody("Zoe"))
            let reply = try await RawClient.exchange(port: port, Reads.get())
            #expect(reply.status == 504)
        }
    }

    @Test("P6 a contact into which the forgotten delivery was worked answers from disk, and so does one without any")
    func workedIn() async throws {
        let clock = MovedClock()
        let other = Reads.list + "/00000000-0000-0000-0000-000000000001"
        let folder = try await folder(holding: [Reads.target, other], clock)
        try await withUpstream(Self.answer) { upstream in
            try await withServer(upstream: upstream.url, over: folder, clock: clock.clock, maxDelivered: 0) {
                port,
                parts in
                _ = try await RawClient.exchange(port: port, Reads.get())
                clock.advance(seconds: 1)
                _ = try await RawClient.exchange(port: port, Reads.put(#""first_name":"Zoe""#))
                try await parts.deliverAndLose(replying: Reads.contactBody("Zoe"))
            }
        }
        try await withServer(upstream: "http://127.0.0.1:9", over: folder, clock: clock.clock) { port, parts in
            parts.openBreaker()
            let written = try await RawClient.exchange(port: port, Reads.get())
            #expect(written.status == 200 && written.body == Reads.contactBody("Zoe"))
            let untouched = try await RawClient.exchange(port: port, Reads.get(other))
            #expect(untouched.status == 200)
        }
    }

    @Test("P5 a reply that comes from disk after one delivery gets that one, too, when the next is worked in")
    func both() async throws {
        let clock = MovedClock()
        let folder = try await folder(clock)
        try await withServer(upstream: "http://127.0.0.1:9", over: folder, clock: clock.clock, maxDelivered: 1) {
            port,
            parts in
            clock.advance(seconds: 1)
            _ = try await RawClient.exchange(port: port, Reads.put(#""first_name":"Zoe""#))
            // A reply that tells nothing of the contact: the write itself does.
            try await parts.deliverAndLose(replying: "{}")
            let first = try await RawClient.exchange(port: port, Reads.get())
            #expect(first.body == Reads.contactBody("Zoe"))
            parts.outbox.upstreamRecovered()
            _ = try await RawClient.exchange(port: port, Reads.put(#""last_name":"M""#))
            try await parts.deliverAndLose(replying: "{}", count: 2)
            let second = try await RawClient.exchange(port: port, Reads.get())
            #expect(second.body == Reads.contactBody("Zoe").replacing("\"L\"", with: "\"M\""))
        }
    }
}
