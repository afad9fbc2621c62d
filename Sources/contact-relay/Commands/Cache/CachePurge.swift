import AdminAPI
import ArgumentParser

/// `contact-relay cache purge`.
struct CachePurge: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "purge",
        abstract: "Drop stored replies, from memory and disk.",
        discussion: """
            With a path: those to it and to everything below it, with every query, for all API keys. Without one: \
            everything, for which it asks first, or takes --yes. What is dropped cannot stand in while the upstream is \
            down.
            """
    )

    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var confirmation: ConfirmationOptions

    @Argument(help: ArgumentHelp("Such as /v1/audiences.", valueName: "path"))
    var path: String?

    @Flag(help: "Print JSON.")
    var json = false

    func validate() throws {
        if let path, !path.hasPrefix("/") {
            throw ValidationError("A path begins with a slash, such as /v1/audiences.")
        }
    }

    func run() async throws {
        try await ExitStatus.explaining {
            let client = try await daemon.client()
            if path == nil || path == "/" {
                let cache = try await client.cache()
                let replies = StatusLine.grouped(Int64(max(cache.entries, cache.disk?.entries ?? 0)))
                try confirmation.require("Drop all of the cache, about \(replies) replies?")
            }
            let reply = try await client.purgeCache(path: path)
            if json {
                try Output.json(reply)
            } else {
                let disk = reply.goneFromDisk ? "" : "; the disk cannot be written, and drops it when it can"
                let what = reply.path == "/" ? "everything" : "\(reply.path) and below"
                try Output.print(
                    "dropped \(what): \(StatusLine.grouped(Int64(reply.memoryReplies))) replies in memory\(disk)"
                )
            }
        }
    }
}
