import ArgumentParser

/// `contact-relay outbox`.
struct OutboxCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "outbox",
        abstract: "Look at the queue of writes, and act on it.",
        discussion: """
            Ids and options that say which writes are meant work alike on all of these. Without any, list shows what is \
            pending, held or dead; commands that change something want to be told (--all for all).
            """,
        subcommands: [
            OutboxList.self, OutboxShow.self, OutboxRetry.self, OutboxDiscard.self, OutboxHold.self,
            OutboxRelease.self, OutboxPause.self, OutboxResume.self, OutboxFlush.self, OutboxExport.self,
            OutboxImport.self, OutboxDrain.self, OutboxCheck.self, OutboxDamaged.self,
        ],
        defaultSubcommand: OutboxList.self
    )
}
