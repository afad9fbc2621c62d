import Foundation
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
