import AdminAPI
import ArgumentParser
import Foundation

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
            let client = try await daemon.client()
            let lines = try LineReader(path: input)
            var progress = Progress()
            var (batch, bytes, taken, lastLine) = ([ExportedWriteLine](), 0, 0, 0)
            func send() async throws {
                guard !batch.isEmpty else { return }
                let reply: ImportReply
                do {
                    reply = try await client.importWrites(batch)
                } catch {
                    progress.clear()
                    let from = lastLine - batch.count + 1
                    Output.note(
                        "\(taken) writes were taken, up to line \(lastLine - batch.count); lines \(from) to \(lastLine) were not"
                    )
                    throw error
                }
                taken += batch.count
                (batch, bytes) = ([], 0)
                guard ids else { return progress.show("import: \(StatusLine.grouped(Int64(taken)))…") }
                do {
                    for id in reply.ids { try Output.print(id) }
                    try Output.flush()
                } catch {
                    progress.clear()
                    Output.note("\(taken) writes were taken, up to line \(lastLine)")
                    throw error
                }
                progress.show("import: \(StatusLine.grouped(Int64(taken)))…")
            }
            while let line = try lines.next() {
                let isFull = batch.count == ImportRequest.maxWrites || bytes + line.count > Self.maxBatchBytes
                if isFull { try await send() }
                batch.append(try Self.write(line, lines.number))
                bytes += line.count
                lastLine = lines.number
            }
            try await send()
            progress.clear()
            Output.note("\(StatusLine.grouped(Int64(taken))) \(taken == 1 ? "write" : "writes") imported")
        }
    }

    private static func write(_ line: [UInt8], _ number: Int) throws -> ExportedWriteLine {
        do {
            return try AdminJSON.decode(ExportedWriteLine.self, from: Data(line))
        } catch {
            throw ExitStatus.fail("line \(number) is not a write that export has written", ExitStatus.usage)
        }
    }
}
