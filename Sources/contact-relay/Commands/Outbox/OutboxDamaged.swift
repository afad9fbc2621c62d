import AdminAPI
import ArgumentParser
import Foundation

/// `contact-relay outbox damaged`.
struct OutboxDamaged: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "damaged",
        abstract: "List, export or discard writes that are damaged and were set aside.",
        discussion: """
            A write whose row in the outbox cannot be read is set aside, and what is behind it in its lane goes on. --export \
            prints all that stands in the rows, a line of JSON for each; it may hold contact data. --discard ends the \
            writes with these sequences, or all of them, for good; it asks first, or takes --yes.
            """
    )

    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var confirmation: ConfirmationOptions

    @Argument(help: "Sequences, as the list shows them; none for all.")
    var sequences: [Int64] = []

    @Flag(help: "Print the rows as they were found, a line of JSON for each.")
    var export = false

    @Flag(help: "End the writes for good.")
    var discard = false

    @Flag(help: "Print JSON.")
    var json = false

    func validate() throws {
        guard !export || !discard else { throw ValidationError("--export and --discard do not go together") }
    }

    func run() async throws {
        try await ExitStatus.explaining {
            let client = try await daemon.client()
            var (writes, after): ([DamagedWrites.Item], Int64?) = ([], nil)
            repeat {
                let part = try await client.damagedWrites(DamagedWritesRequest(after: after))
                let meant = part.writes.filter { sequences.isEmpty || sequences.contains($0.sequence) }
                if export { for write in meant { try Output.print(write.content) } } else { writes += meant }
                after = part.next
            } while after != nil
            guard !export else { return }
            guard discard else { return try list(writes) }
            let number = "\(writes.count) damaged \(writes.count == 1 ? "write" : "writes")"
            if !writes.isEmpty { try confirmation.require("Discard \(number) for good?") }
            let request = DiscardDamagedRequest(sequences: writes.map(\.sequence))
            let reply = try await client.discardDamaged(request)
            if json { try Output.json(reply) } else { try Output.print("\(reply.changed) discarded") }
        }
    }

    private func list(_ writes: [DamagedWrites.Item]) throws {
        if json { return try Output.json(DamagedWrites(writes: writes, next: nil)) }
        guard !writes.isEmpty else { return try Output.print("no write is damaged") }
        let lines = writes.map { "\($0.sequence)  \($0.place)  \($0.foundAt)  \(TerminalText.plain($0.reason))" }
        try Output.print(lines.joined(separator: "\n"))
    }
}
