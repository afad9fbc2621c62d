import AdminAPI
import ArgumentParser
import Foundation
import Outbox

/// The exit statuses of the program (docs/command-line.md).
enum ExitStatus {
    /// What was asked for was understood, and not carried out, or not for all.
    static let refused = ExitCode(1)
    static let usage = ExitCode(64)
    static let unavailable = ExitCode(69)
    static let inputOutput = ExitCode(74)
    static let alreadyRunning = ExitCode(75)
    static let configuration = ExitCode(78)

    /// Says on standard error why the command ends.
    static func complain(_ message: String) {
        Output.note("contact-relay: \(message)")
    }

    /// Says why the command ends, and with which status.
    static func fail(_ message: String, _ code: ExitCode) -> ExitCode {
        complain(message)
        return code
    }

    /// Runs what talks to the daemon or to files, and says what went wrong with it.
    static func explaining<Value>(_ body: () async throws -> Value) async throws -> Value {
        do {
            return try await body()
        } catch let failure as AdminClient.Failure {
            throw fail(failure.description, unavailable)
        } catch let problem as AdminProblem {
            throw fail(problem.detail, code(problem))
        } catch let error as FileFailure {
            throw fail(error.description, inputOutput)
        } catch let error as OutboxError {
            throw fail(error.message, code(error))
        }
    }

    /// The status for what the daemon has refused.
    static func code(_ problem: AdminProblem) -> ExitCode {
        switch problem.status {
        case 500...: unavailable
        case 400, 413: usage
        default: refused
        }
    }

    /// The status for an outbox that cannot be opened.
    static func code(_ error: OutboxError) -> ExitCode {
        switch error.code {
        case .alreadyRunning: alreadyRunning
        case .masterKey, .schemaTooNew, .exposed: configuration
        case .damaged, .storage: inputOutput
        }
    }
}

/// A file that cannot be read or written (exit 74).
struct FileFailure: Error, CustomStringConvertible {
    let description: String
}
