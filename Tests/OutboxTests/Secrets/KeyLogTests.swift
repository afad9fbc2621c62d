import DexatelAPI
import Logging
import TestSupport
import Testing

@testable import Outbox

/// What the upstream thinks of a key is told once for each change, not for each write (design §3.3).
@Suite struct KeyLogTests {
    private let directory: TemporaryDirectory
    private let replies = Replies()
    private let log = RecordedLog()

    init() throws { directory = try TemporaryDirectory() }

    private func rig(holdProbeMilliseconds: Int64 = 20) throws -> OutboxRig {
        try OutboxRig(directory, replies.transport, logger: log.logger) {
            $0.holdProbeMilliseconds = holdProbeMilliseconds
        }
    }

    private func fingerprint(_ rig: OutboxRig, _ key: String) -> String {
        rig.outbox.keys.key(for: Secret(key)).fingerprint.description
    }

    @Test func `a key that is refused, and taken again, is told once each, by its fingerprint`() async throws {
        replies.key("revoked", Sample.outcome(401))
        let rig = try rig()
        for round in 1...2 {
            replies.key("revoked", Sample.outcome(401))
            for number in 1...20 {
                rig.submit(UInt64(round * 100 + number), number, key: "revoked", wait: 0)
            }
            try await rig.counts("all to be held") { $0.held > 0 && $0.held == $0.pending }
            try await eventually("a probe") { replies.attempts.count(where: { $0.apiKey == Secret("revoked") }) > 25 }
            replies.key("revoked", nil)
            try await rig.counts("all to be delivered") { $0.pending == 0 }
            try await eventually("\(2 * round) lines") { log.keyLines.count == 2 * round }
        }
        let lines = log.keyLines
        #expect(lines.map(\.level) == [.warning, .notice, .warning, .notice])
        #expect(lines.map(\.message.isEmpty) == [false, false, false, false])
        #expect(lines.allSatisfy { $0.metadata["key"] == fingerprint(rig, "revoked") })
        #expect(lines[0].metadata["status"] == "401" && lines[0].metadata["write"] != nil)
        #expect(lines.allSatisfy { !"\($0)".contains("revoked") }, "never the key itself")
        await rig.stop()
    }

    @Test func `a refusal that its sender sees is no news, as nothing is held`() async throws {
        replies.key("junk", Sample.outcome(401))
        let rig = try rig()
        for token in 1...5 as ClosedRange<UInt64> {
            rig.submit(token, Int(token), key: "junk")
            #expect(try await rig.answer(token).status == 401)
        }
        #expect(log.keyLines.isEmpty)
        rig.submit(6, 6, key: "junk", wait: 0)
        try await rig.counts("it to be held") { $0.held == 1 }
        try await eventually("a line") { log.keyLines.map(\.level) == [.warning] }
        await rig.stop()
    }

    @Test func `writes that are held on a 403 are told of by their key, and so is the end of that`() async throws {
        for contact in 1...10 { replies.contact(contact, Sample.outcome(403)) }
        let rig = try rig()
        for token in 1...10 as ClosedRange<UInt64> { rig.submit(token, Int(token), wait: 0) }
        try await rig.counts("all to be held") { $0.held == 10 }
        try await eventually("a line") { log.keyLines.map(\.level) == [.warning] }
        #expect(log.keyLines[0].metadata["status"] == "403")
        #expect(log.keyLines[0].metadata["key"] == fingerprint(rig, "api-key"))
        try await eventually("probes") { replies.attempts.count > 20 }
        for contact in 1...10 { replies.contact(contact, nil) }
        try await rig.counts("all to be delivered") { $0.delivered == 10 }
        try await eventually("the last line") { log.keyLines.map(\.level) == [.warning, .notice] }
        await rig.stop()
    }

    @Test func `the end of a 403 is told when an operator brings it about, too`() async throws {
        replies.contact(1, Sample.outcome(403))
        let rig = try rig(holdProbeMilliseconds: 600_000)
        for token in 1...2 as ClosedRange<UInt64> { rig.submit(token, 1, wait: 0) }
        try await rig.counts("both to be held") { $0.held == 2 }
        let ids = try await rig.outbox.list(WriteSelection(), limit: 10).writes.map(\.receipt.id)
        #expect(try await rig.outbox.discard(WriteSelection(ids: [ids[0]])).changed == 1)
        #expect(log.keyLines.map(\.level) == [.warning], "one of them is still held")
        #expect(try await rig.outbox.discard(WriteSelection(ids: [ids[1]])).changed == 1)
        #expect(log.keyLines.map(\.level) == [.warning, .notice])
        await rig.stop()
    }
}
