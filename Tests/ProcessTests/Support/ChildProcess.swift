import Foundation
import Glibc
import Subprocess
import Synchronization
import TestSupport

/// A program under test, with everything that it says; its sandbox kills it at the latest.
final class ChildProcess: Sendable {
    /// How a program ended.
    enum Ending: Equatable, Sendable {
        case exited(Int32)
        case signaled(Int32)
        /// It did not even start.
        case failed(String)
    }

    private struct State {
        var pid: pid_t?
        var output: [UInt8] = []
        var ending: Ending?
    }

    private let name: String
    private let state = Mutex(State())

    /// Starts a program of the `Binaries` folder, or of the system.
    init(_ name: String, _ arguments: [String], environment: [String: String] = [:]) {
        self.name = name
        // The program is found by its name, and sees nothing of the tests' own environment.
        var variables = ["PATH": Binaries.folder + ":/usr/bin:/bin"]
        variables["LD_LIBRARY_PATH"] = ProcessInfo.processInfo.environment["LD_LIBRARY_PATH"]
        variables.merge(environment) { $1 }
        // They are taken as C strings.
        let entries = variables.map { Array("\($0)=\($1)\0".utf8) }
        Task { [self] in
            let ending: Ending
            do {
                ending = try await follow(arguments, .custom(entries))
            } catch {
                ending = .failed("\(error)")
            }
            state.withLock { $0.ending = ending }
        }
    }

    private func follow(_ arguments: [String], _ environment: Environment) async throws -> Ending {
        let result = try await run(
            .name(name),
            arguments: Arguments(arguments),
            environment: environment,
            input: .none,
            output: .sequence,
            error: .combinedWithOutput
        ) { execution in
            state.withLock { $0.pid = execution.processIdentifier.value }
            for try await piece in execution.standardOutput {
                piece.withUnsafeBytes { bytes in state.withLock { $0.output += bytes } }
            }
        }
        switch result.terminationStatus {
        case .exited(let code): return .exited(code)
        case .signaled(let signal): return .signaled(signal)
        }
    }

    /// Standard output and standard error, as they were written.
    var outputBytes: [UInt8] { state.withLock { $0.output } }

    /// The output as text.
    var output: String { String(decoding: outputBytes, as: UTF8.self) }

    /// How it ended, if it has.
    var ending: Ending? { state.withLock { $0.ending } }

    /// Its process, once it has started.
    func pid() async throws -> pid_t {
        try await eventually("the start of \(name)") { state.withLock { $0.pid != nil || $0.ending != nil } }
        guard let pid = state.withLock({ $0.pid }) else {
            throw DeadlinePassed(description: "\(name) did not start: \(String(describing: ending))")
        }
        return pid
    }

    /// Sends a signal, unless it has ended.
    func signal(_ signal: Int32) {
        state.withLock { state in
            guard state.ending == nil, let pid = state.pid else { return }
            kill(pid, signal)
        }
    }

    /// Waits for its end.
    func waitForEnd() async throws -> Ending {
        try await eventually("the end of \(name)") { ending != nil }
        guard let ending else { throw DeadlinePassed(description: "\(name) has not ended") }
        return ending
    }

    /// Kills it and waits until it is gone; for teardown.
    func destroy() async {
        guard (try? await pid()) != nil else { return }
        signal(SIGKILL)
        _ = try? await waitForEnd()
    }
}
