import ArgumentParser
import RelayDaemon

/// `contact-relay check`.
struct Check: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Validate the configuration and print it with all defaults, secrets redacted."
    )

    @OptionGroup var options: ConfigurationOptions

    func run() async throws {
        let configuration = try await options.load(readsSecrets: true)
        if let problem = configuration.ownListener {
            ExitStatus.complain("the configuration cannot be used:\n\(problem)")
            throw ExitStatus.configuration
        }
        try Output.print(configuration.effectiveDescription(), terminator: "")
        if let addresses = await configuration.namedListenAddresses() {
            Output.note(
                "listen.address is \(addresses.isEmpty ? "no address here" : addresses.joined(separator: " and "))"
            )
        }
    }
}
