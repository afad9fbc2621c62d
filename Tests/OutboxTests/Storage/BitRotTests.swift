import DexatelAPI
import Foundation
import GRDB
import TestSupport
import Testing

@testable import Outbox

/// Bits that flip in the file of a stopped outbox are noticed, and nothing is sent that was not accepted.
@Suite struct BitRotTests {
    private static let writes = 600
    private static let flips = 200

    /// What a flipped bit has come to.
    private enum End: String {
        case delivered
        case visible = "dead or held"
        case setAside = "set aside"
        case refused = "refused at the start"
        case failed = "failed, loudly"
    }

    private func makeOutbox(_ directory: TemporaryDirectory) async throws -> [ContactReference: [WritePayload]] {
        let rig = try OutboxRig(directory, ScriptedTransport { _, _ in Sample.unreachable }, backoffMilliseconds: 1) {
            $0.maxConcurrentWrites = 1
            ($0.maxPendingUnverifiedPerKey, $0.maxPendingUnverified) = (.max, .max)
        }
        try await rig.outbox.pause()
        var sent: [ContactReference: [WritePayload]] = [:]
        for number in 1...Self.writes {
            // Lanes of one and of three writes, with two keys.
            let contact = number % 3 == 0 ? number : number % 150
            let write = rig.write(
                UInt64(number),
                contact,
                key: number % 7 == 0 ? "another" : "api-key",
                body: #"{"data":{"first_name":"Name \#(number)","last_name":"Of a contact","note\#(number % 5)":"x"}}"#
            )
            sent[write.contact, default: []].append(write.payload)
            try #require(rig.outbox.admit(write) == nil)
            rig.outbox.submitAdmitted([write])
        }
        try await rig.counts("all to be committed") { $0.accepted == Self.writes }
        try await rig.outbox.resume()
        await rig.stop()
        return sent
    }

    @Test func `one flipped bit is never sent and never silent, and the check finds what the outbox finds`()
        async throws
    {
        var random = SeededGenerator("bit rot")
        let saved = try TemporaryDirectory()
        let sent = try await makeOutbox(saved)
        let file = try saved.bytes("outbox.sqlite")
        var ends: [End: Int] = [:]
        for _ in 0..<Self.flips {
            let (offset, bit) = (Int.random(in: 0..<file.count, using: &random), Int.random(in: 0..<8, using: &random))
            let directory = try TemporaryDirectory()
            for name in ["outbox.mark", "master.key"] {
                try FileManager.default.copyItem(atPath: saved.path + "/" + name, toPath: directory.path + "/" + name)
            }
            var rotten = file
            rotten[offset] ^= 1 << UInt8(bit)
            try rotten.write(to: URL(fileURLWithPath: directory.database))
            try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: directory.database)
            let place: Comment = "bit \(bit) of byte \(offset) (page \(offset / 4096 + 1))"
            let findings = (try? await Outbox.check(stateDirectory: directory.path)) ?? ["it cannot be opened"]
            let end = try await run(directory, sent, place)
            ends[end, default: 0] += 1
            if end == .setAside || end == .failed || end == .refused {
                #expect(!findings.isEmpty, "\(place): \(end.rawValue), and the check finds nothing")
            }
        }
        print("bit rot:", ends.map { "\($0.rawValue): \($1)" }.sorted().joined(separator: ", "))
    }

    private func run(
        _ directory: TemporaryDirectory,
        _ sent: [ContactReference: [WritePayload]],
        _ place: Comment
    ) async throws -> End {
        let transport = ScriptedTransport { _, _ in Sample.outcome(200) }
        let rig: OutboxRig
        do {
            rig = try OutboxRig(directory, transport)
        } catch {
            return .refused
        }
        var end = End.delivered
        try await eventually("an end of \(place)") {
            let counts = rig.outbox.committedCounts
            if counts.pending == counts.held {
                end = counts.damaged > 0 ? .setAside : counts.held + counts.dead > 0 ? .visible : .delivered
                #expect(counts.isBalanced && counts.accepted == Self.writes, place)
                return true
            }
            guard case .failed = rig.outbox.health else { return false }
            end = .failed
            // It may be looking through all rows just now.
            try await Task.sleep(for: .milliseconds(200))
            return if case .failed = rig.outbox.health { true } else { false }
        }
        for attempt in transport.attempts {
            #expect(attempt.method == .put, place)
            #expect(sent[attempt.contact]?.contains(attempt.payload) == true, "\(place): an altered write was sent")
        }
        await rig.stop()
        return end
    }
}
