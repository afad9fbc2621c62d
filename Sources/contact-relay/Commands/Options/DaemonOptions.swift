import AdminAPI
import ArgumentParser
import Foundation
import RelayDaemon

/// Which daemon a command talks to.
struct DaemonOptions: ParsableArguments {
    /// Where the daemon of a package listens, as its unit has it.
    private static let systemSocket = "/run/contact-relay/admin.sock"

    @OptionGroup var configuration: ConfigurationOptions

    @Option(
        help: ArgumentHelp(
            "The daemon's admin socket (default: admin.socket of the configuration).",
            valueName: "path"
        ),
        completion: .file()
    )
    var socket: String?

    /// A client for that daemon.
    func client() async throws -> AdminClient {
        if let socket { return AdminClient(socketPath: socket) }
        let configured = try await configuration.load().admin.socket
        let isThere = { (path: String) in FileManager.default.fileExists(atPath: path) }
        // Outside of its unit nothing says where systemd lets the daemon listen.
        let isSystems = !isThere(configured) && configuration.isDefault && isThere(Self.systemSocket)
        return AdminClient(socketPath: isSystems ? Self.systemSocket : configured)
    }
}
