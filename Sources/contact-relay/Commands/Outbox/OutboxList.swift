import AdminAPI
import ArgumentParser
import Foundation

/// `contact-relay outbox list`.
struct OutboxList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List writes: what is pending, held or dead, unless told otherwise."
    )

    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var selector: SelectorOptions

    @Option(help: ArgumentHelp("Show so many at most.", valueName: "number"))
    var limit: Int?

    @Flag(help: "Print a JSON array, one write a line.")
    var json = false

    @Flag(help: "Print ids alone, one a line, for the standard input of other commands.")
    var ids = false

    func validate() throws {
        if let limit, limit < 1 { throw ValidationError("--limit takes a number from 1 on.") }
    }

    func run() async throws {
        try await ExitStatus.explaining {
            let client = try await daemon.client()
            let writes = SelectedWrites(client, try selectors(), limit: limit)
            if json { return try await printJSON(writes) }
            if ids { return try await writes.forEach { try Output.print($0.id) } }
            var listing = WriteListing()
            try await writes.forEach { write in
                if listing.count == 0 { try Output.print(WriteListing.header) }
                for line in listing.lines(write) { try Output.print(line) }
            }
            try Output.print(listing.footer)
        }
    }

    private func selectors() throws -> [WriteSelector] {
        var selectors = try selector.selectors()
        guard selector.state.isEmpty, !selector.all, !selector.hasIDs else { return selectors }
        for index in selectors.indices { selectors[index].states = WriteSelector.openStates }
        return selectors
    }

    private func printJSON(_ writes: SelectedWrites) async throws {
        try Output.print("[", terminator: "")
        var separator = "\n"
        try await writes.forEach { write in
            try Output.print(separator + String(decoding: try AdminJSON.encode(write), as: UTF8.self), terminator: "")
            separator = ",\n"
        }
        try Output.print("\n]")
    }
}
