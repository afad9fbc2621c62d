import Foundation
import Glibc
import Synchronization
import Testing

/// A folder and processes of one test; both are gone when it ends, however it ends.
final class Sandbox: Sendable {
    let folder: String
    private let processes = Mutex<[ChildProcess]>([])

    init() throws {
        var template = Array("/tmp/relay-XXXXXX".utf8CString)
        folder = try #require(mkdtemp(&template).map { String(cString: $0) })
    }

    /// The state directory of the daemons that are started here.
    var stateDirectory: String { folder + "/state" }

    /// Starts a program that ends with the sandbox.
    func spawn(_ name: String, _ arguments: [String], environment: [String: String] = [:]) -> ChildProcess {
        let process = ChildProcess(name, arguments, environment: environment)
        processes.withLock { $0.append(process) }
        return process
    }

    /// Runs a program to its end.
    func finish(
        _ name: String,
        _ arguments: [String],
        environment: [String: String] = [:]
    ) async throws -> (ending: ChildProcess.Ending, output: String) {
        let process = spawn(name, arguments, environment: environment)
        return (try await process.waitForEnd(), process.output)
    }

    /// The files of the state directory, by name.
    func stateFiles() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: stateDirectory).sorted()
    }

    /// Everything that all programs have said so far.
    var outputs: [[UInt8]] { processes.withLock { $0 }.map(\.outputBytes) }

    fileprivate func tearDown() async {
        // A test whose time is over is cancelled, but its processes must end all the same.
        await Task.detached { [self] in
            for process in processes.withLock({ $0 }) { await process.destroy() }
            try? FileManager.default.removeItem(atPath: folder)
        }.value
    }
}

/// Runs a test in a sandbox; what its programs said is shown if it throws.
func withSandbox(_ body: (Sandbox) async throws -> Void) async throws {
    let sandbox = try Sandbox()
    do {
        try await body(sandbox)
    } catch {
        for output in sandbox.outputs { print(String(decoding: output.suffix(8_192), as: UTF8.self)) }
        await sandbox.tearDown()
        throw error
    }
    await sandbox.tearDown()
}
