import Foundation
import Glibc
import Testing

@testable import Outbox

/// Files that other users can read are refused (P7).
@Suite struct StateAccessTests {
    @Test(
        arguments: [
            (0o700, true, true), (0o710, true, true), (0o750, true, true), (0o500, true, true), (0o755, true, false),
            (0o701, true, false), (0o704, true, false), (0o770, true, false), (0o720, true, false),
            (0o1777, true, false),
            (0o600, false, true), (0o400, false, true), (0o700, false, true), (0o640, false, false),
            (0o604, false, false),
            (0o660, false, false), (0o602, false, false), (0o601, false, false), (0o644, false, false),
        ] as [(UInt32, Bool, Bool)]
    )
    func `a directory is its owner's, a group may look into it, and a file is its owner's alone`(
        _ mode: UInt32,
        _ isDirectory: Bool,
        _ isAllowed: Bool
    ) {
        let fault = StateAccess.fault(of: "/s", mode: mode, isDirectory: isDirectory)
        #expect((fault == nil) == isAllowed)
        guard let fault else { return }
        #expect(fault.code == .exposed)
        #expect(fault.message.hasSuffix(isDirectory ? "chmod 700 '/s'" : "chmod 600 '/s'"))
    }

    @Test func `every file of an outbox is looked at, and one that is not there is none`() throws {
        let directory = try TemporaryDirectory()
        try StateAccess.check(directory.path)
        for name in StateAccess.names {
            let path = directory.path + "/" + name
            try Data().write(to: URL(fileURLWithPath: path))
            try #require(chmod(path, 0o644) == 0)
            #expect(throws: OutboxError.self) { try StateAccess.check(directory.path) }
            try #require(chmod(path, 0o600) == 0)
            try StateAccess.check(directory.path)
        }
        try #require(chmod(directory.path, 0o755) == 0)
        #expect(throws: OutboxError.self) { try StateAccess.check(directory.path) }
        try #require(chmod(directory.path, 0o700) == 0)
        try StateAccess.check(directory.path + "/nothing")
    }
}
