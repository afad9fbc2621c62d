import ArgumentParser
import Foundation
import Logging
import Outbox
import RelayDaemon
import Systemd

/// `contact-relay serve`.
struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Run the daemon in the foreground.")

    @OptionGroup var options: ConfigurationOptions

    func run() async throws {
        let configuration = try await options.load()
        let environment = ProcessInfo.processInfo.environment
        let level = LogLevel(configuration.log.level)
        let logger = RelayDaemon.logger(configuration, environment: environment, level: level)
        let options = options
        do {
            try await RelayDaemon(
                configuration: configuration,
                environment: environment,
                logger: logger,
                logLevel: level,
                reload: { try await options.read() }
            ).run()
        } catch {
            let status = Self.exitStatus(error)
            logger.critical("the daemon cannot go on", metadata: ["error": "\(error)", "exit": "\(status.rawValue)"])
            Notifier().failed(errno: 0, exitStatus: status.rawValue, status: "\(error)")
            throw status
        }
    }

    private static func exitStatus(_ error: any Error) -> ExitCode {
        if error is PassedSocketError { return ExitStatus.configuration }
        return (error as? OutboxError).map(ExitStatus.code) ?? ExitStatus.inputOutput
    }
}
