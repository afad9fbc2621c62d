import AdminAPI
import ArgumentParser

/// `contact-relay status`.
struct Status: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Show how the running daemon does.")

    /// Takes the cursor home and clears what stands there.
    private static let home = "\u{1B}[H\u{1B}[J"

    @OptionGroup var daemon: DaemonOptions

    @Flag(help: "Print JSON; with --watch, a line each time.")
    var json = false

    @Flag(name: .shortAndLong, help: "Show it again and again, with rates.")
    var watch = false

    @Option(help: ArgumentHelp("How often, with --watch.", valueName: "age"))
    var interval = Age(seconds: 2)

    func validate() throws {
        if interval.milliseconds < 100 { throw ValidationError("--interval takes 100ms or more.") }
    }

    func run() async throws {
        try await ExitStatus.explaining {
            let client = try await daemon.client()
            let status = try await client.status()
            if watch { return try await watch(client, status) }
            if json { try Output.json(status) } else { try Output.print(StatusPage(status).text) }
        }
    }

    /// Goes on over restarts of the daemon, until it is interrupted.
    private func watch(_ client: AdminClient, _ first: RelayStatus) async throws {
        var (status, shownAt) = (first, ContinuousClock.now)
        try show(status, nil)
        while true {
            try await Task.sleep(for: .milliseconds(interval.milliseconds))
            do {
                let next = try await client.status()
                let passed = (ContinuousClock.now - shownAt).components
                let seconds = Double(passed.seconds) + Double(passed.attoseconds) / 1e18
                try show(next, StatusRates(from: status, to: next, seconds: seconds))
                (status, shownAt) = (next, .now)
            } catch let failure as AdminClient.Failure {
                Output.note(failure.description)
            }
        }
    }

    private func show(_ status: RelayStatus, _ rates: StatusRates?) throws {
        if json {
            try Output.print((try? AdminJSON.encode(status)).map { String(decoding: $0, as: UTF8.self) } ?? "{}")
        } else {
            let page = StatusPage(status, rates: rates).text
            // No line end behind the last line: it would move the first one out of a small terminal.
            try Output.print(
                Output.isTerminal ? Self.home + page : page + "\n",
                terminator: Output.isTerminal ? "" : "\n"
            )
        }
        try Output.flush()
    }
}
