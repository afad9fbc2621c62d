import ArgumentParser
import RelayDaemon

/// `contact-relay check`.
struct Check: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Validate the configuration and print it with all defaults, secrets redacted."
    )

    @OptionGroup var options: ConfigurationOptions

    func run() async throws {
        try Output.print(await options.load(readsSecrets: true).effectiveDescription(), terminator: "")
    }
}
