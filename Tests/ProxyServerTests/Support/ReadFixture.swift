import DexatelAPI
import NIOCore
import Outbox
import ResponseCache
import Synchronization
import TestSupport
import Testing

@testable import ProxyServer

/// A clock that tests move; it starts at some time of day.
final class MovedClock: Sendable {
    private let passed = Atomic<Int64>(0)

    func advance(seconds: Int64) { passed.add(seconds * 1000, ordering: .sequentiallyConsistent) }

    var clock: ReadClock {
        var clock = ReadClock()
        clock.milliseconds = { 5_000_000 + self.passed.load(ordering: .sequentiallyConsistent) }
        clock.unixSeconds = { 1_700_000_000 + self.passed.load(ordering: .sequentiallyConsistent) / 1000 }
        return clock
    }
}

/// Contacts, keys and requests of the read tests.
enum Reads {
    static let audience = "22089fd7-7b74-4815-8452-3a8e864affbc"
    static let contact = "fe84f52d-d05e-4af6-b93a-08dc0110f536"
    static let list = "/v1/audiences/\(audience)/contacts"
    static let target = list + "/" + contact

    static func get(_ target: String, key: String? = "one", _ fields: String = "") -> String {
        request("GET", target, key: key, fields)
    }

    /// Of the contact.
    static func get(key: String? = "one", fields: String = "") -> String { get(target, key: key, fields) }

    static func request(_ method: String, _ target: String, key: String? = "one", _ fields: String = "") -> String {
        let keyField = key.map { "X-Dexatel-Key: \($0)\r\n" } ?? ""
        return "\(method) \(target) HTTP/1.1\r\nHost: localhost\r\n\(keyField)\(fields)\r\n"
    }

    static func put(_ data: String, key: String = "one", to target: String = target) -> String {
        let body = #"{"data":{\#(data)}}"#
        return request(
            "PUT",
            target,
            key: key,
            "Content-Type: application/json\r\nPrefer: respond-async\r\nContent-Length: \(body.utf8.count)\r\n"
        ) + body
    }

    static func contactBody(_ firstName: String) -> String {
        #"{"data":{"id":"\#(contact)","first_name":"\#(firstName)","last_name":"L"}}"#
    }

    static func reply(_ body: String, status: String = "200 OK", _ fields: String = "") -> String {
        "HTTP/1.1 \(status)\r\n\(fields)Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
    }
}

extension RawClient.RawReply {
    var cacheStatus: String { field("Cache-Status") ?? "" }
}

extension CacheConfiguration {
    static func with(maxObjectBytes: Int) -> CacheConfiguration {
        var configuration = CacheConfiguration()
        configuration.maxObjectBytes = maxObjectBytes
        return configuration
    }
}

/// Runs a test while a read of the list, which brings version 0 once the gate is open, has been overtaken by a write and by a
/// read after it, which brought version 1.
func withOvertakenRead(
    _ body: (
        _ port: Int, _ parts: TestParts, _ gate: Gate, _ slow: RawClient, _ after: RawClient.RawReply
    ) async throws -> Void
) async throws {
    let gate = Gate()
    let version = Atomic<Int>(0)
    try await withUpstream { peer, head in
        if head.hasPrefix("POST") {
            version.store(1, ordering: .sequentiallyConsistent)
            try await peer.write(Reads.reply("{}", status: "201 Created"))
            return true
        }
        let seen = version.load(ordering: .sequentiallyConsistent)
        if seen == 0 { try await gate.passed() }
        try await peer.write(Reads.reply(#"{"data":[],"version":\#(seen)}"#))
        return true
    } _: { upstream in
        try await withServer(upstream: upstream.url) { port, parts in
            try await RawClient.with(port: port) { slow in
                try await slow.send(Reads.get(Reads.list))
                try await eventually("the slow read") { gate.arrived == 1 }
                _ = try await RawClient.exchange(port: port, Reads.request("POST", Reads.list))
                let after = try await RawClient.exchange(port: port, Reads.get(Reads.list))
                #expect(after.body.contains("\"version\":1"))
                try await body(port, parts, gate, slow, after)
            }
        }
    }
}
