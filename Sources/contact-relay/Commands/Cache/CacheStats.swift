import AdminAPI
import ArgumentParser

/// `contact-relay cache stats`.
struct CacheStats: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stats",
        abstract: "Show what the cache holds and has done."
    )

    @OptionGroup var daemon: DaemonOptions

    @Flag(help: "Print JSON.")
    var json = false

    func run() async throws {
        try await ExitStatus.explaining {
            let cache = try await daemon.client().cache()
            if json { try Output.json(cache) } else { try Output.print(CachePage(cache).text) }
        }
    }
}
