import Foundation
import Glibc
import TestSupport
import Testing

@testable import Outbox

/// Files that are deleted, moved or replaced under a running outbox (P1): nothing is acknowledged that the next start would
/// not find, and what was acknowledged is delivered.
@Suite struct FilesLostTests {
    /// What somebody does to the files, and undoes.
    enum Mishap: String, CaseIterable, Sendable {
        case databaseDeleted, databaseMoved, databaseReplaced, logDeleted, logMoved, logReplaced, directoryMoved
        case directoryDeleted

        /// Whether there is a file at the database's path.
        var leavesDatabase: Bool {
            switch self {
            case .databaseReplaced, .logDeleted, .logMoved, .logReplaced: true
            default: false
            }
        }

        var isUndone: Bool {
            switch self {
            case .databaseMoved, .logMoved, .directoryMoved: true
            default: false
            }
        }

        func happen(_ directory: TemporaryDirectory) throws {
            let (database, log) = (directory.database, directory.database + "-wal")
            let files = FileManager.default
            switch self {
            case .databaseDeleted: try files.removeItem(atPath: database)
            case .databaseMoved: try #require(rename(database, database + ".away") == 0)
            case .databaseReplaced:
                try files.copyItem(atPath: database, toPath: database + ".copy")
                try #require(rename(database + ".copy", database) == 0)
            case .logDeleted: try files.removeItem(atPath: log)
            case .logMoved: try #require(rename(log, log + ".away") == 0)
            case .logReplaced:
                try files.copyItem(atPath: log, toPath: log + ".copy")
                try #require(rename(log + ".copy", log) == 0)
            case .directoryMoved: try #require(rename(directory.path, directory.path + ".away") == 0)
            case .directoryDeleted: try files.removeItem(atPath: directory.path)
            }
        }

        func undo(_ directory: TemporaryDirectory) throws {
            let path: String
            switch self {
            case .databaseMoved: path = directory.database
            case .logMoved: path = directory.database + "-wal"
            case .directoryMoved: path = directory.path
            default: return
            }
            try #require(rename(path + ".away", path) == 0)
        }
    }

    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    @Test(arguments: Mishap.allCases)
    func `a write is not acknowledged, what was is delivered, and with the files back writes are taken`(
        _ mishap: Mishap
    ) async throws {
        let transport = ScriptedTransport { _, _ in Sample.outcome(200) }
        let rig = try OutboxRig(directory, transport)
        try await rig.accept(1, 1)
        try await rig.counts("the first to be delivered") { $0.delivered == 1 }
        transport.admits { .wait(milliseconds: 20) }
        let kept = try await rig.accept(2, 2)

        try mishap.happen(directory)
        // Past the health check, as a write that was on its way.
        let late = rig.write(3, 3)
        if let refusal = rig.outbox.admit(late) {
            late.sink.take([(3, .unavailable(refusal))])
        } else {
            rig.outbox.submitAdmitted([late])
        }
        #expect(try await rig.answer(3).status == 503)
        try await eventually("the loss to be noticed") {
            if case .filesLost = rig.outbox.health { true } else { false }
        }
        #expect(rig.submit(4, 4) == .storageFailed)
        #expect(FileManager.default.fileExists(atPath: directory.database) == mishap.leavesDatabase)

        transport.admits(nil)
        rig.outbox.nudge()
        try await rig.waitFor(kept, .delivered)
        #expect(transport.attempts.contains { $0.contact == Sample.contact(2) })
        #expect(rig.outbox.committedCounts.isBalanced)

        if mishap.isUndone {
            try mishap.undo(directory)
            try await eventually("the files to be found again") { rig.outbox.health == .working }
            try await rig.accept(5, 5)
            try await rig.counts("all to be delivered") { $0.pending == 0 }
        }
        // The one that nothing was said of is delivered or unknown, as it came.
        let delivered = try await rig.counts("nothing to be left") { $0.pending == 0 }.delivered
        await rig.stop()
        guard mishap.isUndone || mishap == .logDeleted || mishap == .logReplaced else { return }
        let storage = SQLiteOutboxStorage(path: directory.database)
        let opened = try storage.open(verify: true)
        #expect(opened.counts.delivered == delivered && opened.counts.isBalanced)
        storage.close()
    }

    @Test func `a database that another program has cut short is verified, and nothing is acknowledged`() async throws {
        let rig = try OutboxRig(directory, ScriptedTransport { _, _ in Sample.outcome(200) })
        try await rig.accept(1, 1)
        try #require(truncate(directory.database, 100) == 0)
        try await eventually("the damage to be noticed") {
            if case .failed = rig.outbox.health { true } else { false }
        }
        #expect(rig.submit(2, 2) == .storageFailed)
        await rig.stop()
    }

    @Test func `what is only looked up, and what an operator gives up, goes on while files are lost; imports do not`()
        async throws
    {
        let transport = ScriptedTransport { _, _ in Sample.outcome(422, Sample.contactNotFound) }
        let rig = try OutboxRig(directory, transport)
        let id = try await rig.accept(1, 1)
        try await rig.waitFor(id, .dead)
        let exported = try await rig.outbox.export(WriteSelection(states: [.dead])).writes
        #expect(exported.count == 1)
        try FileManager.default.removeItem(atPath: directory.database)
        try await eventually("the loss to be noticed") { rig.outbox.health != .working }
        #expect(try await rig.outbox.export(WriteSelection(states: [.dead])).writes == exported)
        await #expect(throws: ImportFault.self) { try await rig.outbox.importWrites(exported) }
        #expect(try await rig.outbox.discard(WriteSelection(states: [.dead])).changed == 1)
        await rig.stop()
    }
}
