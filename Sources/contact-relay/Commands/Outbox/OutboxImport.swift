import AdminAPI
import ArgumentParser
import Foundation
import Synchronization

/// `contact-relay outbox import`.
struct OutboxImport: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract: "Take writes in that another relay has exported; they go to the end of the queue.",
        discussion: "They count as accepted, and get ids of their own. Dead and held ones become pending."
    )

    /// Bytes of lines in one request, less than the daemon takes.
    private static let maxBatchBytes = 24 << 20

    @OptionGroup var daemon: DaemonOptions

    @Argument(
        help: ArgumentHelp("What export wrote; standard input unless told.", valueName: "path"),
        completion: .file()
    )
    var input: String?

    @Flag(help: "Print the new ids, one a line.")
    var ids = false

    func run() async throws {
        try await ExitStatus.explaining {
            let tally = SharedTally()
            let signals = EndingSignals { Output.note(tally.state.withLock { $0.report(.unknown) }) }
            defer { withExtendedLifetime(signals) {} }
            do {
                try await importAll(tally)
            } catch {
                let (known, report) = tally.state.withLock { ($0, $0.report(Self.ending(error))) }
                Output.note(report)
                guard known.taken > 0, Self.isUsage(error) else { throw error }
                // The status for usage says that nothing was changed.
                throw ExitStatus.refused
            }
            let taken = tally.state.withLock { $0.taken }
            Output.note("\(StatusLine.grouped(Int64(taken))) \(taken == 1 ? "write" : "writes") imported")
        }
    }

    private func importAll(_ tally: SharedTally) async throws {
        let client = try await daemon.client()
        let lines = try LineReader(path: input)
        var progress = Progress()
        defer { progress.clear() }
        var (batch, bytes, firstLine) = ([ExportedWriteLine](), 0, 1)
        func send(upTo lastLine: Int) async throws {
            guard !batch.isEmpty else { return }
            tally.state.withLock { $0.begin(batch.count, lines: firstLine...lastLine) }
            let reply = try await client.importWrites(batch)
            let taken = tally.state.withLock { tally in
                tally.commit()
                return tally.taken
            }
            (batch, bytes, firstLine) = ([], 0, lastLine + 1)
            if ids {
                for id in reply.ids { try Output.print(id) }
                try Output.flush()
            }
            progress.show("import: \(StatusLine.grouped(Int64(taken)))…")
        }
        while let line = try lines.next() {
            let isFull = batch.count == ImportRequest.maxWrites || bytes + line.count > Self.maxBatchBytes
            if isFull { try await send(upTo: lines.number - 1) }
            batch.append(try Self.write(line, lines.number))
            bytes += line.count
        }
        try await send(upTo: lines.number)
    }

    /// What an error says of what was being sent.
    private static func ending(_ error: any Error) -> ImportTally.Ending {
        switch error {
        // Nobody has answered, or the commit has failed (P1).
        case is AdminClient.Failure: .unknown
        case let problem as AdminProblem: problem.code == "outbox_unavailable" ? .unknown : .refused
        default: .refused
        }
    }

    private static func isUsage(_ error: any Error) -> Bool {
        if let problem = error as? AdminProblem, ExitStatus.code(problem) == ExitStatus.usage {
            ExitStatus.complain(problem.detail)
            return true
        }
        return error as? ExitCode == ExitStatus.usage
    }

    private static func write(_ line: [UInt8], _ number: Int) throws -> ExportedWriteLine {
        do {
            return try AdminJSON.decode(ExportedWriteLine.self, from: Data(line))
        } catch {
            throw ExitStatus.fail("line \(number) is not a write that export has written", ExitStatus.usage)
        }
    }
}

/// The tally of a running import, for whatever ends it.
private final class SharedTally: Sendable {
    let state = Mutex(ImportTally())
}
