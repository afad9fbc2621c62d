import Synchronization
import TestSupport
import Testing

@testable import ProxyServer

@Suite("What an accepted write changes, and for whom")
struct OwnWriteTests {
    private static let audience = "/v1/audiences/\(Reads.audience)"
    private static let list =
        #"{"data":[\#(Reads.contactBody("Ada").dropFirst(8).dropLast(1))],"pagination":{"total":1}}"#

    private static func answer(_ peer: TestUpstream.Connection, _ head: String) async throws -> Bool {
        let target = head.split(separator: " ")[1]
        try await peer.write(Reads.reply(target == Reads.list ? list : Reads.contactBody("Ada")))
        return true
    }

    private static let targets = ["/v1/audiences", audience, Reads.list, Reads.target]

    /// The targets that a key does not get as a fresh hit.
    private func notFresh(_ port: Int, key: String?) async throws -> [String] {
        var targets: [String] = []
        for target in Self.targets {
            let reply = try await RawClient.exchange(port: port, Reads.get(target, key: key))
            #expect(reply.status == 200)
            if !reply.cacheStatus.contains("; hit;") { targets.append(target) }
        }
        return targets
    }

    @Test(
        "an accepted write of one key changes nothing for others until the upstream has taken it",
        arguments: [nil, "two"]
    )
    func others(reader: String?) async throws {
        try await withUpstream(Self.answer) { upstream in
            try await withServer(upstream: upstream.url) { port, parts in
                for key in ["one", reader] { _ = try await notFresh(port, key: key) }
                let put = try await RawClient.exchange(port: port, Reads.put(#""first_name":"Zoe""#))
                #expect(put.status == 202)
                #expect(try await notFresh(port, key: reader) == [])
                // For the writer the contact, its lists and its audience are in doubt; the list of audiences is not.
                #expect(try await notFresh(port, key: "one") == [Self.audience, Reads.list, Reads.target])
                try await parts.deliver(replying: Reads.contactBody("Zoe"))
                #expect(try await notFresh(port, key: reader) == [Self.audience, Reads.list, Reads.target])
            }
        }
    }

    @Test("a write that the upstream refuses changes nothing for others", arguments: [400, 401, 403])
    func refused(status: Int) async throws {
        try await withUpstream(Self.answer) { upstream in
            try await withServer(upstream: upstream.url) { port, parts in
                for key in ["junk", "two"] { _ = try await notFresh(port, key: key) }
                let put = try await RawClient.exchange(port: port, Reads.put(#""first_name":"Zoe""#, key: "junk"))
                #expect(put.status == 202)
                try await parts.refuse(status)
                #expect(try await notFresh(port, key: "two") == [])
            }
        }
    }
}
