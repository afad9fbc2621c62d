import Foundation
import Testing

@testable import Outbox

@Suite struct MasterKeyTests {
    private let directory: TemporaryDirectory
    private let credentials: TemporaryDirectory

    init() throws {
        directory = try TemporaryDirectory()
        credentials = try TemporaryDirectory()
    }

    private func load(mayCreate: Bool = false, withCredentials: Bool = true) throws(OutboxError) -> MasterKey {
        try MasterKey.load(
            stateDirectory: directory.path,
            credentialsDirectory: withCredentials ? credentials.path : nil,
            mayCreate: mayCreate
        )
    }

    private func write(_ bytes: [UInt8], to path: String) throws {
        try Data(bytes).write(to: URL(fileURLWithPath: path))
    }

    private func expectRefused(mayCreate: Bool = true) {
        var code: OutboxError.Code?
        do {
            _ = try load(mayCreate: mayCreate)
        } catch {
            code = error.code
        }
        #expect(code == .masterKey)
    }

    @Test func `the first start makes a key for its owner alone, and the next ones find it`() throws {
        let first = try load(mayCreate: true)
        #expect(try directory.mode(of: "master.key") == 0o600)
        #expect(try directory.bytes("master.key").count == 32)
        #expect(try load().identifier == first.identifier)
        #expect(try load(withCredentials: false).identifier == first.identifier)
        #expect(!FileManager.default.fileExists(atPath: directory.path + "/master.key.new"))
        let other = try TemporaryDirectory()
        let second = try MasterKey.load(stateDirectory: other.path, credentialsDirectory: nil, mayCreate: true)
        #expect(second.identifier != first.identifier)
    }

    @Test func `a key left half-made by a crash is made anew`() throws {
        try write([1, 2, 3], to: directory.path + "/master.key.new")
        _ = try load(mayCreate: true)
        #expect(try directory.bytes("master.key").count == 32)
    }

    @Test func `no key is made for an outbox that has sealed ones`() throws {
        expectRefused(mayCreate: false)
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path) == [])
    }

    @Test func `a credential is taken, alone or beside the same file, and nothing is written`() throws {
        try write([UInt8](repeating: 9, count: 32), to: credentials.path + "/master-key")
        #expect(try load(mayCreate: true).identifier == Sample.masterKey(9).identifier)
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path) == [])
        try write([UInt8](repeating: 9, count: 32), to: directory.path + "/master.key")
        #expect(try load().identifier == Sample.masterKey(9).identifier)
    }

    @Test func `two different sources are refused`() throws {
        try write([UInt8](repeating: 9, count: 32), to: credentials.path + "/master-key")
        try write([UInt8](repeating: 8, count: 32), to: directory.path + "/master.key")
        expectRefused()
    }

    @Test(arguments: [0, 1, 31, 33, 64])
    func `a key of another length is refused and left as it is`(_ count: Int) throws {
        let bytes = [UInt8](repeating: 5, count: count)
        try write(bytes, to: directory.path + "/master.key")
        expectRefused()
        #expect(try directory.bytes("master.key") == Data(bytes))
    }

    @Test func `it does not show itself`() {
        #expect("\(Sample.masterKey(1))" == "<redacted>")
    }
}
