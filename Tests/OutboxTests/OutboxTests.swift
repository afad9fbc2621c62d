import DexatelAPI
import Foundation
import GRDB
import NIOCore
import Synchronization
import TestSupport
import Testing

@testable import Outbox

@Suite struct OutboxTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    // MARK: - The fates of a write

    @Test func `a sender that waits sees the upstream's own reply, and the receipt says so`() async throws {
        let transport = ScriptedTransport { attempt, _ in
            attempt.contact == Sample.contact(1) ? Sample.outcome(200, #"{"data":{}}"#) : Sample.outcome(422)
        }
        let rig = try OutboxRig(directory, transport)
        #expect(rig.submit(1, 1, body: #"{"data":{"first_name":"A"}}"#) == nil)
        #expect(rig.submit(2, 2) == nil)
        #expect(try await rig.answer(1).status == 200)
        #expect(try await rig.answer(2).status == 422)
        let delivered = try #require(try await rig.receipt(1))
        #expect(delivered.state == .delivered && delivered.attempts == 1 && delivered.responseStatus == 200)
        let rejected = try #require(try await rig.receipt(2))
        #expect(rejected.state == .rejected && rejected.responseBody == Array(Sample.apiError.utf8))
        #expect(try await rig.receipt(1, key: "another") == nil, "a receipt is for the key that made the write")
        #expect(transport.attempts.first { $0.contact == Sample.contact(1) }?.body == #"{"data":{"first_name":"A"}}"#)
        #expect(transport.attempts.allSatisfy { $0.apiKey == Secret("api-key") })
        await rig.stop()
        #expect(transport.permitsOut == 0)
    }

    @Test func `a sender that does not wait gets 202, and a refusal then leaves a dead write`() async throws {
        let rig = try OutboxRig(directory, ScriptedTransport { _, _ in Sample.outcome(400) })
        rig.submit(1, 1, wait: 0)
        #expect(try await rig.answer(1).status == 202)
        try await rig.waitFor(1, .dead)
        let counts = try await rig.counts("it to count") { $0.dead == 1 && $0.pending == 0 }
        #expect(counts.isBalanced)
        #expect(counts.storedBytes > 0, "a dead write is kept, and counts")
        await rig.stop()
    }

    @Test func `a wait that is up ends with 202, and the write goes on`() async throws {
        let gate = Gate()
        let transport = ScriptedTransport { _, _ in
            await gate.pass()
            return Sample.outcome(200)
        }
        let rig = try OutboxRig(directory, transport)
        rig.submit(1, 1, wait: 20)
        #expect(try await rig.answer(1).status == 202)
        try await rig.waitFor(1, .inFlight)
        gate.open()
        try await rig.waitFor(1, .delivered)
        await rig.stop()
        #expect(rig.sink.count == 1)
    }

    @Test func `a wait that is up ends although all that may be under way hangs`() async throws {
        let gate = Gate()
        let transport = ScriptedTransport { attempt, _ in
            if attempt.body == "retry" { return Sample.outcome(500) }
            await gate.pass()
            return Sample.outcome(200)
        }
        let rig = try OutboxRig(directory, transport, backoffMilliseconds: 30) { $0.maxConcurrentWrites = 2 }
        rig.submit(1, 1, wait: 0, body: "retry")
        try await eventually("a first attempt") { !transport.attempts.isEmpty }
        for token in 2...3 as ClosedRange<UInt64> { rig.submit(token, Int(token), wait: 200) }
        #expect(try await rig.answer(2).status == 202)
        #expect(try await rig.answer(3).status == 202)
        gate.open()
        rig.outbox.stop()
        await rig.stop()
    }

    @Test func `a held key's write is shown as held, and goes on when the key works again`() async throws {
        let isRefused = Mutex(true)
        let transport = ScriptedTransport { _, _ in
            Sample.outcome(isRefused.withLock { $0 } ? 401 : 200)
        }
        let rig = try OutboxRig(directory, transport) { $0.holdProbeMilliseconds = 20 }
        rig.submit(1, 1, wait: 0)
        rig.submit(2, 2, wait: 0)
        try await rig.waitFor(1, .held)
        try await rig.waitFor(2, .held)
        #expect(rig.outbox.keys.key(for: Secret("api-key")).isHeld)
        isRefused.withLock { $0 = false }
        try await rig.waitFor(1, .delivered)
        try await rig.waitFor(2, .delivered)
        #expect(!rig.outbox.keys.key(for: Secret("api-key")).isHeld)
        await rig.stop()
    }

    @Test func `what probes a held key is in flight, and does not count as held as well`() async throws {
        let isRefused = Mutex(true)
        let gate = Gate()
        let transport = ScriptedTransport { _, _ in
            guard !isRefused.withLock({ $0 }) else { return Sample.outcome(401) }
            await gate.pass()
            return Sample.outcome(200)
        }
        let rig = try OutboxRig(directory, transport) { $0.holdProbeMilliseconds = 20 }
        for token in 1...2 as ClosedRange<UInt64> { rig.submit(token, Int(token), wait: 0) }
        try await rig.counts("both to be held") { $0.held == 2 }
        isRefused.withLock { $0 = false }
        try await eventually("a probe") { gate.waitingCount == 1 }
        let status = await rig.outbox.status()
        #expect(status.inFlight == 1 && status.counts.held == 1 && status.counts.pending == 2)
        let states = try await rig.outbox.list(WriteSelection(), limit: 10).writes.map(\.receipt.state)
        #expect(Set(states) == [.inFlight, .held])
        gate.open()
        try await rig.counts("both to be delivered") { $0.delivered == 2 && $0.held == 0 }
        await rig.stop()
    }

    // MARK: - Bounds

    @Test func `what does not fit is refused before it is taken, and nobody is answered twice`() async throws {
        let gate = Gate()
        let transport = ScriptedTransport { _, _ in
            await gate.pass()
            return Sample.outcome(200)
        }
        let rig = try OutboxRig(directory, transport) {
            $0.maxPending = 5
            $0.maxPendingUnverifiedPerKey = 2
            $0.maxPendingUnverified = 10
        }
        #expect(rig.submit(1, 1, key: "a", wait: 0) == nil)
        #expect(rig.submit(2, 2, key: "a", wait: 0) == nil)
        #expect(rig.submit(3, 3, key: "a", wait: 0) == .unverifiedKeyLimit)
        for token in 4...6 as ClosedRange<UInt64> { rig.submit(token, Int(token), key: "key-\(token)", wait: 0) }
        #expect(rig.submit(7, 7, key: "b", wait: 0) == .queueFull)
        gate.open()
        try await eventually("delivery") { await rig.outbox.status().counts.delivered == 5 }
        for token in 8...10 as ClosedRange<UInt64> {
            #expect(rig.submit(token, 8, key: "a", wait: 0) == nil, "a key that has succeeded has no limit of its own")
        }
        await rig.stop()
        #expect(rig.submit(11, 1) == .stopping)
        #expect(rig.sink.all.values.allSatisfy { $0.count == 1 })
        #expect(rig.sink.count == 8)
    }

    @Test func `a disk that is too full takes no writes`() async throws {
        let rig = try OutboxRig(directory, ScriptedTransport { _, _ in Sample.outcome(200) }) {
            $0.minFreeDiskBytes = .max
        }
        try await eventually("the disk to be found full") {
            if case .diskLow = await rig.outbox.status().health { true } else { false }
        }
        #expect(rig.submit(1, 1) == .diskLow)
        await rig.stop()
    }

    // MARK: - Restarts

    @Test func `a restart recovers what is pending, keeps the counts, and delivers without being asked`() async throws {
        let down = try OutboxRig(directory, ScriptedTransport { _, _ in Sample.unreachable }, backoffMilliseconds: 1)
        for token in 1...20 as ClosedRange<UInt64> { down.submit(token, Int(token % 5), wait: 0, body: "\(token)") }
        try await down.sink.waitForAnswers(20)
        await down.stop()
        let before = await down.outbox.status().counts
        #expect(before.accepted == 20 && before.pending == 20)

        let transport = ScriptedTransport { _, _ in Sample.outcome(200) }
        let rig = try OutboxRig(directory, transport)
        try await eventually("all to be delivered") { await rig.outbox.status().counts.delivered == 20 }
        #expect(await rig.outbox.status().counts.pending == 0)
        #expect(await rig.outbox.status().counts.storedBytes == 0)
        for contact in 0..<5 {
            let bodies = transport.attempts.filter { $0.contact == Sample.contact(contact) }.compactMap { Int($0.body) }
            #expect(bodies == bodies.sorted() && bodies.count == 4)
        }
        for token in 1...20 as ClosedRange<UInt64> {
            let id = try #require(try await down.answer(token).writeID)
            let receipt = try await rig.outbox.receipt(id, for: rig.outbox.keys.key(for: Secret("api-key")))
            #expect(receipt?.state == .delivered)
        }
        await rig.stop()
    }

    @Test func `another master key, or none, is refused, and nothing is touched`() async throws {
        let rig = try OutboxRig(directory, ScriptedTransport { _, _ in Sample.unreachable })
        rig.submit(1, 1, wait: 0)
        _ = try await rig.answer(1)
        await rig.stop()
        let before = try directory.bytes("outbox.sqlite")
        let key = directory.path + "/master.key"
        let right = try directory.bytes("master.key")
        for wrong in [Data(repeating: 3, count: 32), nil] {
            try FileManager.default.removeItem(atPath: key)
            try wrong?.write(to: URL(fileURLWithPath: key))
            let error = #expect(throws: OutboxError.self) {
                try Outbox.open(
                    OutboxRig.configuration(directory),
                    transport: ScriptedTransport { _, _ in Sample.unreachable },
                    backoffMilliseconds: { _ in 1 },
                    logger: OutboxRig.logger
                )
            }
            #expect(error?.code == .masterKey)
            #expect(try directory.bytes("outbox.sqlite") == before)
            #expect(FileManager.default.fileExists(atPath: key) == (wrong != nil))
            try right.write(to: URL(fileURLWithPath: key))
        }
        let again = try OutboxRig(directory, ScriptedTransport { _, _ in Sample.outcome(200) })
        try await eventually("delivery") { await again.outbox.status().counts.delivered == 1 }
        await again.stop()
    }

    @Test func `an API key is in no file of the state directory, while it is used or afterwards`() async throws {
        let key = "planted-secret-api-key-0123456789"
        let rig = try OutboxRig(
            directory,
            ScriptedTransport { _, number in
                number % 3 == 0 ? Sample.outcome(200) : Sample.outcome(500)
            }
        )
        for token in 1...200 as ClosedRange<UInt64> {
            rig.submit(token, Int(token), key: key, wait: 0, body: "planted-body")
            if token % 40 == 0 { #expect(try directory.files(containing: key) == []) }
        }
        try await rig.sink.waitForAnswers(200)
        #expect(try directory.files(containing: "planted-body") != [], "the search finds what is there")
        #expect(try directory.files(containing: key) == [])
        try await eventually("delivery") { await rig.outbox.status().counts.pending == 0 }
        #expect(try directory.files(containing: key) == [])
        await rig.stop()
        #expect(try directory.files(containing: key) == [])
        #expect(try directory.files(containing: "planted-body") == [])
    }

    // MARK: - Stopping

    @Test func `stopping waits for what is under way, sends nothing new, and commits the outcome`() async throws {
        let gate = Gate()
        let transport = ScriptedTransport { _, _ in
            await gate.pass()
            return Sample.outcome(200)
        }
        let rig = try OutboxRig(directory, transport) { $0.maxConcurrentWrites = 3 }
        for token in 1...6 as ClosedRange<UInt64> { rig.submit(token, Int(token)) }
        try await eventually("three attempts") { gate.waitingCount == 3 }
        rig.outbox.stop()
        try await rig.sink.waitForAnswers(6)
        #expect(rig.sink.all.values.allSatisfy { $0.map(\.status) == [202] })
        gate.open()
        await rig.stop()
        #expect(transport.attempts.count == 3)
        let counts = await rig.outbox.status().counts
        #expect(counts.delivered == 3 && counts.pending == 3)
        let reopened = SQLiteOutboxStorage(path: directory.database)
        #expect(try reopened.open(verify: true).counts == counts)
        reopened.close()
    }

    @Test func `a breaker that lets nothing through is asked again without anything else happening`() async throws {
        let admissions = Mutex(0)
        let transport = ScriptedTransport { _, _ in Sample.outcome(200) }
        transport.admits {
            admissions.withLock { count in
                count += 1
                switch count {
                case 1: return .wait(milliseconds: 5)
                case 2: return .saturated
                default: return .go(DeliveryPermit(0))
                }
            }
        }
        let rig = try OutboxRig(directory, transport)
        rig.submit(1, 1, wait: 0)
        try await rig.waitFor(1, .delivered)
        await rig.stop()
    }

    // MARK: - Many at once

    @Test func `8 tasks with 500 writes each: everything ends once, in order, and the books are right`() async throws {
        let random = Mutex(SeededGenerator(seed: 4711))
        let transport = ScriptedTransport { _, _ in
            switch random.withLock({ Int.random(in: 0..<20, using: &$0) }) {
            case 0: Sample.timeout
            case 1: Sample.outcome(500)
            case 2: Sample.outcome(429, retryAfter: 1)
            case 3: Sample.outcome(409)
            case 4: Sample.unreachable
            default: Sample.outcome(200)
            }
        }
        let rig = try OutboxRig(directory, transport)
        // A key that is verified has no limit of its own.
        repeat {
            rig.submit(0, 999, wait: 0, body: "0")
            try await eventually("the first write") { await rig.outbox.status().counts.pending == 0 }
        } while await rig.outbox.status().counts.delivered == 0
        let already = await rig.outbox.status().counts.accepted
        await withTaskGroup(of: Void.self) { group in
            for task in 0..<8 {
                group.addTask {
                    for number in 1...500 {
                        let token = UInt64(task * 500 + number)
                        let contact = Int(token % 50)
                        while rig.submit(token, contact, wait: token % 3 == 0 ? 5_000 : 0, body: "\(token)") != nil {
                            await Task.yield()
                        }
                    }
                }
            }
        }
        try await eventually("everything to end", within: .seconds(180)) {
            let counts = await rig.outbox.status().counts
            return counts.pending == 0 && counts.accepted == already + 4_000
        }
        let counts = await rig.outbox.status().counts
        #expect(counts.isBalanced && counts.held == 0)
        #expect(!transport.sawOverlap, "one attempt at a time for a contact")
        let answers = rig.sink.all.filter { $0.key != 0 }
        #expect(answers.count == 4_000)
        #expect(answers.values.allSatisfy { $0.count == 1 && $0[0].status != 503 })
        await rig.stop()
        try checkOrder(transport, answers.mapValues { $0[0] })
        let queue = try DatabaseQueue(path: directory.database)
        #expect(
            try await queue.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM ended_write") }
                == Int(counts.accepted)
        )
        try queue.close()
        #expect(transport.permitsOut == 0)
    }

    /// Attempts for each contact, repeats collapsed, are in the order of commit (P3).
    private func checkOrder(_ transport: ScriptedTransport, _ answers: [UInt64: WriteAnswer]) throws {
        var last: [ContactReference: Int64] = [:]
        var sent: Set<Int64> = []
        for attempt in transport.attempts where attempt.body != "0" {
            let token = try #require(UInt64(attempt.body))
            let sequence = try #require(answers[token]?.writeID?.sequence)
            #expect(sequence >= last[attempt.contact] ?? 0)
            last[attempt.contact] = sequence
            sent.insert(sequence)
        }
        #expect(sent.count == answers.count)
    }
}
