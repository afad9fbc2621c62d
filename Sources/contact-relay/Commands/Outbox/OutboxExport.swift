import AdminAPI
import ArgumentParser
import Foundation

/// `contact-relay outbox export`.
struct OutboxExport: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Write pending, held and dead writes as lines of JSON, for another relay's import.",
        discussion: """
            Contact data is plain in it; API keys are sealed, and open under the same master key alone. Nothing is taken \
            out of the queue: discard what has been imported elsewhere, or both relays send it.
            """
    )

    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var selector: SelectorOptions

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp(
            "A new file, for its owner alone (0600); standard output unless told.",
            valueName: "path"
        ),
        completion: .file()
    )
    var output: String?

    func run() async throws {
        try await ExitStatus.explaining {
            let client = try await daemon.client()
            let lines = try LineWriter(path: output)
            var progress = Progress()
            var count = 0
            for selector in try selector.selectors() {
                var after: Int64? = 0
                while let sequence = after {
                    let page = try await client.export(WritePageRequest(selector, after: sequence))
                    for write in page.writes { try lines.write(AdminJSON.encode(write)) }
                    count += page.writes.count
                    after = page.next
                    if after != nil, output != nil { progress.show("export: \(StatusLine.grouped(Int64(count)))…") }
                }
            }
            try lines.finish()
            progress.clear()
            Output.note("\(StatusLine.grouped(Int64(count))) \(count == 1 ? "write" : "writes") exported")
        }
    }
}
