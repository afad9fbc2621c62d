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
        let configuration: RelayConfiguration
        do {
            configuration = try await options.read(readsSecrets: true)
        } catch let error as ConfigurationError {
            RelayLog.lastWords("the configuration cannot be used:\n\(error)")
            Self.notify("the configuration cannot be used: \(error)", ExitStatus.configuration, nil)
            throw ExitStatus.configuration
        }
        let environment = ProcessInfo.processInfo.environment
        let log = RelayLog(configuration, environment: environment)
        defer { log.flush() }
        let options = options
        do {
            try await RelayDaemon(
                configuration: configuration,
                environment: environment,
                log: log,
                reload: { try await options.read(readsSecrets: true) }
            ).run()
        } catch {
            let status = Self.exitStatus(error)
            log.logger.critical(
                "the daemon cannot go on",
                metadata: ["error": "\(error)", "exit": "\(status.rawValue)"]
            )
            Self.notify("\(error)", status, StartFailure.errorNumber(of: error))
            throw status
        }
    }

    /// Tells systemd why the daemon ends.
    private static func notify(_ reason: String, _ status: ExitCode, _ errorNumber: Int32?) {
        let number = errorNumber.map { [Notifier.State.errorNumber($0)] } ?? []
        Notifier().notify([.status(reason)] + number + [.exitStatus(status.rawValue)])
    }

    private static func exitStatus(_ error: any Error) -> ExitCode {
        if StartFailure.isConfiguration(error) { return ExitStatus.configuration }
        if StartFailure.isTaken(error) { return ExitStatus.alreadyRunning }
        return (error as? OutboxError).map(ExitStatus.code) ?? ExitStatus.inputOutput
    }
}
