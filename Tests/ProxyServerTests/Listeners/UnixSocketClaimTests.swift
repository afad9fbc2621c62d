import Foundation
import Glibc
import Testing

@testable import ProxyServer

@Suite struct UnixSocketClaimTests {
    /// A folder that is gone when the test ends.
    private func withFolder(_ body: (String) throws -> Void) throws {
        var template = Array("/tmp/claim-XXXXXX".utf8CString)
        let folder = try #require(mkdtemp(&template).map { String(cString: $0) })
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try body(folder)
    }

    /// Binds a socket, and listens if there is a backlog.
    private func bindSocket(_ path: String, backlog: CInt? = 8) throws -> CInt {
        let descriptor = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let result = withUnsafeBytes(of: &address) { bytes in
            let pointer = bytes.baseAddress?.assumingMemoryBound(to: sockaddr.self)
            return bind(descriptor, pointer, socklen_t(MemoryLayout<sockaddr_un>.size))
        }
        try #require(result == 0)
        if let backlog { #expect(listen(descriptor, backlog) == 0) }
        return descriptor
    }

    private func names(_ folder: String) -> [String] {
        (try? FileManager.default.contentsOfDirectory(atPath: folder).sorted()) ?? []
    }

    @Test func `a socket at which somebody listens is not taken over`() throws {
        try withFolder { folder in
            let path = folder + "/a.sock"
            let listener = try bindSocket(path)
            defer { close(listener) }
            let failure = #expect(throws: UnixSocketFailure.self) { try UnixSocketClaim(path) }
            #expect(failure?.isTaken == true && failure?.description.contains(path) == true)
            #expect(names(folder) == ["a.sock"])
        }
    }

    @Test func `a socket whose backlog is full is somebody's`() throws {
        try withFolder { folder in
            let path = folder + "/a.sock"
            let listener = try bindSocket(path, backlog: 0)
            defer { close(listener) }
            for _ in 0..<3 {
                let failure = #expect(throws: UnixSocketFailure.self) { try UnixSocketClaim(path) }
                #expect(failure?.isTaken == true)
            }
        }
    }

    @Test func `a socket that a dead daemon has left is replaced, and removed at the end`() throws {
        try withFolder { folder in
            let path = folder + "/a.sock"
            close(try bindSocket(path))
            let claim = try UnixSocketClaim(path)
            #expect(names(folder) == ["a.sock.lock"])
            let listener = try bindSocket(path)
            defer { close(listener) }
            try claim.bound(mode: 0o660)
            claim.release()
            #expect(names(folder) == [])
        }
    }

    @Test func `of two daemons that start together one gets the path, before it listens`() throws {
        try withFolder { folder in
            let path = folder + "/a.sock"
            let first = try UnixSocketClaim(path)
            let failure = #expect(throws: UnixSocketFailure.self) { try UnixSocketClaim(path) }
            #expect(failure?.isTaken == true)
            first.release()
            try UnixSocketClaim(path).release()
            #expect(names(folder) == [])
        }
    }

    @Test func `somebody else's socket at the path is left alone at the end`() throws {
        try withFolder { folder in
            let path = folder + "/a.sock"
            let claim = try UnixSocketClaim(path)
            let mine = try bindSocket(path)
            try claim.bound(mode: 0o660)
            // The other one comes before this inode is free again.
            #expect(rename(path, path + ".old") == 0)
            let other = try bindSocket(path)
            claim.release()
            #expect(names(folder) == ["a.sock", "a.sock.old"])
            close(mine)
            close(other)
        }
    }

    @Test func `a file that is no socket is never removed`() throws {
        try withFolder { folder in
            let path = folder + "/a.sock"
            #expect(FileManager.default.createFile(atPath: path, contents: Data("kept".utf8)))
            let failure = #expect(throws: UnixSocketFailure.self) { try UnixSocketClaim(path) }
            #expect(failure?.isTaken == false)
            #expect(FileManager.default.contents(atPath: path) == Data("kept".utf8))
        }
    }
}
