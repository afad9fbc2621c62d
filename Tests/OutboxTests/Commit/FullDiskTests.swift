import DexatelAPI
import Foundation
import GRDB
import Glibc
import Synchronization
import TestSupport
import Testing

@testable import Outbox

/// A disk that others fill (P1, P8): nothing is sent whose outcome cannot be recorded.
@Suite struct FullDiskTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private var reservePath: String { directory.path + "/" + DiskReserve.name }

    private func blocks() -> Int64 {
        var status = stat()
        return stat(reservePath, &status) == 0 ? Int64(status.st_blocks) * 512 : -1
    }

    @Test func `room is kept while an outbox is open, and given up once`() throws {
        let storage = SQLiteOutboxStorage(path: directory.database)
        _ = try storage.open(verify: false)
        #expect(blocks() >= Int64(DiskReserve.bytes))
        #expect(storage.releaseReserve())
        #expect(blocks() == 0)
        #expect(!storage.releaseReserve())
        #expect(storage.fillReserve())
        #expect(blocks() >= Int64(DiskReserve.bytes))
        storage.close()
    }

    @Test(
        arguments: [(0, false), (1 << 20, false), ((1 << 20) + (256 << 10), true), (1 << 40, true)] as [(Int64, Bool)]
    )
    func `an outbox is opened where there is room for what it records`(_ freeBytes: Int64, _ isAllowed: Bool) {
        #expect(DiskReserve.allowsOpening(freeBytes: freeBytes) == isAllowed)
    }

    @Test func `shared memory has blocks for all of it, and keeps them while it is open`() throws {
        let storage = SQLiteOutboxStorage(path: directory.database)
        _ = try storage.open(verify: false)
        var status = stat()
        try #require(stat(directory.database + "-shm", &status) == 0)
        #expect(status.st_blocks * 512 >= 128 << 10)
        storage.closeWriter()
        _ = try storage.open(verify: true)
        storage.close()
    }

    @Test func `on a full disk outcomes are recorded with the room that was kept, and nothing more is sent`()
        async throws
    {
        let faults = StorageFaults()
        let gate = Gate()
        let sent = Mutex(0)
        let transport = ScriptedTransport { _, _ in
            sent.withLock { $0 += 1 }
            await gate.pass()
            return Sample.outcome(200)
        }
        let rig = try EngineRig(directory, transport, faults)
        for token in 1...20 as ClosedRange<UInt64> { rig.submit(token, Int(token), wait: 0) }
        try await rig.sink.waitForAnswers(20)
        try await eventually("attempts") { gate.waitingCount == 8 }
        faults.isDiskFull.store(true, ordering: .sequentiallyConsistent)
        gate.open()
        try await eventually("the full disk to be noticed") {
            if case .diskLow = rig.commits.currentHealth { true } else { false }
        }
        // The room that is kept is for the outcomes of what was sent until then, which may be more than the eight.
        try await eventually("their outcomes") { rig.admission.committed.delivered == sent.withLock { $0 } }
        let sentBefore = sent.withLock { $0 }
        #expect((8..<20).contains(sentBefore))
        rig.submit(21, 21, wait: 0)
        try await rig.sink.waitForAnswers(21)
        #expect(rig.sink.answers(to: 21).map(\.status) == [503])
        // As long as there is no room, however often somebody looks.
        let turns = rig.commits.turns
        try await eventually("some looks") { rig.commits.turns > turns + 3 }
        #expect(sent.withLock { $0 } == sentBefore && rig.admission.committed.delivered == sentBefore)
        faults.isDiskFull.store(false, ordering: .sequentiallyConsistent)
        try await eventually("all to be delivered") { rig.admission.committed.pending == 0 }
        #expect(sent.withLock { $0 } == 20, "each once")
        try await eventually("writes to be taken") { rig.commits.currentHealth == .working }
        await rig.stop()
    }
}
