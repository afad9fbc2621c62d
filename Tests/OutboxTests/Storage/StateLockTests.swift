import Foundation
import Glibc
import Testing

@testable import Outbox

@Suite struct StateLockTests {
    @Test func `a second daemon is kept out until the first is gone`() throws {
        let directory = try TemporaryDirectory()
        do {
            let first = try StateLock(stateDirectory: directory.path)
            var code: OutboxError.Code?
            do {
                _ = try StateLock(stateDirectory: directory.path)
            } catch {
                code = error.code
            }
            #expect(code == .alreadyRunning)
            #expect(try directory.mode(of: "lock") == 0o600)
            _ = consume first
        }
        _ = try StateLock(stateDirectory: directory.path)
    }

    /// The error code of a second one; nil when it gets the lock.
    private func refusal(_ path: String) -> OutboxError.Code? {
        do {
            _ = try StateLock(stateDirectory: path)
            return nil
        } catch {
            return error.code
        }
    }

    @Test func `whatever an operator removes or renames, a second daemon is kept out`() throws {
        let directory = try TemporaryDirectory()
        let files = FileManager.default
        do {
            let first = try StateLock(stateDirectory: directory.path)
            try files.removeItem(atPath: directory.path + "/lock")
            #expect(refusal(directory.path) == .alreadyRunning)
            try Data().write(to: URL(fileURLWithPath: directory.path + "/lock"))
            #expect(refusal(directory.path) == .alreadyRunning)
            try files.createSymbolicLink(atPath: directory.path + "-link", withDestinationPath: directory.path)
            #expect(refusal(directory.path + "-link") == .alreadyRunning)
            try files.removeItem(atPath: directory.path + "-link")
            try files.moveItem(atPath: directory.path, toPath: directory.path + "-moved")
            #expect(refusal(directory.path + "-moved") == .alreadyRunning)
            try files.moveItem(atPath: directory.path + "-moved", toPath: directory.path)
            _ = consume first
        }
        #expect(refusal(directory.path) == nil)
    }

    @Test func `a daemon of a release that locks the file alone is noticed`() throws {
        let directory = try TemporaryDirectory()
        let file = open(directory.path + "/lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        try #require(file >= 0 && flock(file, LOCK_EX | LOCK_NB) == 0)
        #expect(refusal(directory.path) == .alreadyRunning)
        close(file)
        #expect(refusal(directory.path) == nil)
    }

    @Test func `a directory that is not there is a storage error`() {
        var code: OutboxError.Code?
        do {
            _ = try StateLock(stateDirectory: "/nonexistent/state")
        } catch {
            code = error.code
        }
        #expect(code == .storage)
    }
}
