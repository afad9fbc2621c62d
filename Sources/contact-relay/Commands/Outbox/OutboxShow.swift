import AdminAPI
import ArgumentParser

/// `contact-relay outbox show`.
struct OutboxShow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show all that is kept of writes: request, attempts, the upstream's reply."
    )

    @OptionGroup var daemon: DaemonOptions

    @Argument(help: ArgumentHelp("Ids of writes.", valueName: "id"))
    var ids: [String]

    @Flag(help: "Print JSON.")
    var json = false

    func validate() throws {
        if let bad = ids.first(where: { !WriteNames.isName($0) }) {
            throw ValidationError("\(bad) is not the id of a write (see outbox list).")
        }
    }

    func run() async throws {
        try await ExitStatus.explaining {
            let client = try await daemon.client()
            for (number, id) in ids.enumerated() {
                let detail = try await client.show(id)
                if json {
                    try Output.json(detail)
                } else {
                    if number > 0 { try Output.print(String(repeating: "-", count: 40)) }
                    try Output.print(WriteDetailPage(detail).text)
                }
            }
        }
    }
}
