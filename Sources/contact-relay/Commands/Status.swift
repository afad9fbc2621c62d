import AdminAPI
import ArgumentParser
import RelayDaemon

/// `contact-relay status`.
struct Status: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Show how the running daemon does.")

    @OptionGroup var options: ConfigurationOptions

    @Flag(help: "Print JSON.")
    var json = false

    func run() async throws {
        let client = AdminClient(socketPath: try await options.load().admin.socket)
        let status: RelayStatus
        do {
            status = try await client.status()
        } catch {
            ExitStatus.complain("\(error)")
            throw ExitStatus.unavailable
        }
        if json {
            print(String(decoding: try AdminJSON.encode(status, pretty: true), as: UTF8.self))
        } else {
            print(StatusPage(status).text)
        }
    }
}
