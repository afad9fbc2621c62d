import AdminAPI
import Foundation
import NIOCore
import NIOHTTP1
import TestSupport

/// An operator at a terminal that nobody sits at: runs commands against the daemon of a state directory.
struct Operator: Sendable {
    let sandbox: Sandbox
    let socket: String

    init(in sandbox: Sandbox, stateDirectory: String? = nil) {
        self.sandbox = sandbox
        socket = (stateDirectory ?? sandbox.stateDirectory) + "/admin.sock"
    }

    /// Runs a command to its end.
    func run(_ arguments: String...) async throws -> (ending: ChildProcess.Ending, output: String) {
        try await sandbox.finish("contact-relay", arguments + ["--socket", socket])
    }

    /// Runs a command that must end with 0, and hands out what it said.
    func done(_ arguments: String...) async throws -> String {
        let result = try await sandbox.finish("contact-relay", arguments + ["--socket", socket])
        guard result.ending == .exited(0) else {
            throw OperatorFailure(description: "\(arguments): \(result.ending), \(result.output)")
        }
        return result.output
    }

    /// Runs a line of a shell, in which `$S` stands for the option that names the socket.
    func shell(_ line: String) async throws -> (ending: ChildProcess.Ending, output: String) {
        try await sandbox.finish("sh", ["-c", line], environment: ["S": "--socket=\(socket)"])
    }

    /// The writes that a listing finds.
    func list(_ arguments: String...) async throws -> [WriteSummary] {
        let result = try await sandbox.finish(
            "contact-relay",
            ["outbox", "list", "--json", "--socket", socket] + arguments
        )
        guard result.ending == .exited(0) else { throw OperatorFailure(description: result.output) }
        return try AdminJSON.decode([WriteSummary].self, from: Data(result.output.utf8))
    }

    /// Sends a request to the admin socket, past the command line.
    func request(_ method: HTTPMethod, _ path: String, body: String? = nil) async throws -> Answer {
        Answer(
            try await TestClient.send(
                method.rawValue,
                path,
                socket: socket,
                body: body.map { ByteBuffer(string: $0) }
            )
        )
    }
}

/// A command that should have ended with 0.
struct OperatorFailure: Error, CustomStringConvertible {
    let description: String
}
