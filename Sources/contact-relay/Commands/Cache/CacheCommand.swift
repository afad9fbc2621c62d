import ArgumentParser

/// `contact-relay cache`.
struct CacheCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cache",
        abstract: "Look at the cache of reads, and drop what is in it.",
        subcommands: [CacheStats.self, CachePurge.self]
    )
}
