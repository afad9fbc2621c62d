import Foundation
import Testing

@testable import contact_relay

/// Lines that go to files and come from them.
@Suite struct LineFileTests {
    private func withFolder(_ body: (String) throws -> Void) throws {
        var template = Array("/tmp/relay-XXXXXX".utf8CString)
        let folder = try #require(mkdtemp(&template).map { String(cString: $0) })
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try body(folder)
    }

    @Test func `lines of any length come back as they were written`() throws {
        try withFolder { folder in
            let path = folder + "/lines"
            let lengths = [0, 1, 65_535, 65_536, 65_537, 0, 200_000, 3]
            let lines = lengths.map { Data(repeating: UInt8(ascii: "x"), count: $0) }
            let writer = try LineWriter(path: path)
            for line in lines { try writer.write(line) }
            try writer.finish()
            let reader = try LineReader(path: path)
            var read: [Int] = []
            while let line = try reader.next() { read.append(line.count) }
            #expect(read == lengths)
            #expect(reader.number == lengths.count)
        }
    }

    @Test func `a last line without an end is a line, and an empty file has none`() throws {
        try withFolder { folder in
            let path = folder + "/lines"
            try "one\ntwo".write(toFile: path, atomically: false, encoding: .utf8)
            let reader = try LineReader(path: path)
            #expect(try reader.next() == Array("one".utf8))
            #expect(try reader.next() == Array("two".utf8))
            #expect(try reader.next() == nil && reader.number == 2)
            #expect(try LineReader(path: "/dev/null").next() == nil)
        }
    }

    @Test func `a file is made for its owner alone, and one that is there is left alone`() throws {
        try withFolder { folder in
            let path = folder + "/lines"
            try LineWriter(path: path).finish()
            let attributes = try FileManager.default.attributesOfItem(atPath: path)
            #expect((attributes[.posixPermissions] as? NSNumber)?.intValue == 0o600)
            #expect(throws: FileFailure.self) { try LineWriter(path: path) }
            #expect(throws: FileFailure.self) { try LineReader(path: folder + "/nowhere") }
        }
    }
}
