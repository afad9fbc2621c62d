import ArgumentParser
import Foundation
import RelayDaemon

/// Where the configuration comes from.
struct ConfigurationOptions: ParsableArguments {
    @Option(name: .long, help: "The configuration file.", completion: .file(extensions: ["yaml", "yml"]))
    var config: String?

    @Option(
        name: .customLong("set"),
        help: ArgumentHelp("Sets one key, over file and environment.", valueName: "key=value")
    )
    var settings: [String] = []

    /// Whether nothing was said on the command line.
    var isDefault: Bool { config == nil && settings.isEmpty }

    /// Loads and validates; says what is wrong and ends with 78 if anything is.
    func load() async throws -> RelayConfiguration {
        do {
            return try await read()
        } catch let error as ConfigurationError {
            ExitStatus.complain("the configuration cannot be used:\n\(error)")
            throw ExitStatus.configuration
        }
    }

    /// Loads and validates.
    func read() async throws -> RelayConfiguration {
        var overrides: [String: String] = [:]
        for setting in settings {
            let parts = setting.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, !parts[0].isEmpty else {
                throw ValidationError("--set takes key=value, such as --set upstream.url=http://127.0.0.1:9090")
            }
            overrides[String(parts[0])] = String(parts[1])
        }
        return try await RelayConfiguration.load(
            file: config,
            environment: ProcessInfo.processInfo.environment,
            overrides: overrides
        )
    }
}
