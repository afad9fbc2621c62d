import AdminAPI
import ArgumentParser

/// `contact-relay outbox drain`.
struct OutboxDrain: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drain",
        abstract: "Wait until nothing is pending.",
        discussion: """
            For before a host goes away: stop the apps, then drain. It ends with 69 when the time is up before that. Held \
            writes count as pending; they wait for their key or an operator.
            """
    )

    private static let interval = Duration.milliseconds(250)

    @OptionGroup var daemon: DaemonOptions

    @Option(help: ArgumentHelp("Wait no longer than this, such as 90s or 10m.", valueName: "age"))
    var timeout: Age?

    @Flag(help: "Do not wait for writes that are held.")
    var exceptHeld = false

    func run() async throws {
        try await ExitStatus.explaining {
            let client = try await daemon.client()
            let deadline = timeout.map { ContinuousClock.now + .milliseconds($0.milliseconds) }
            var progress = Progress()
            while true {
                let status = try await client.status()
                let outbox = status.outbox
                let left = outbox.pending - (exceptHeld ? outbox.held : 0)
                guard left > 0 else {
                    progress.clear()
                    let held = outbox.held > 0 ? "; \(StatusLine.grouped(outbox.held)) held" : ""
                    let dead = outbox.dead > 0 ? "; \(StatusLine.grouped(outbox.dead)) dead" : ""
                    return try Output.print("drained\(held)\(dead)")
                }
                if let deadline, ContinuousClock.now >= deadline {
                    progress.clear()
                    throw ExitStatus.fail(
                        "the time is up: \(StatusLine(status).description)",
                        ExitStatus.unavailable
                    )
                }
                progress.show(TerminalText.clipped(StatusLine(status).description, to: TerminalText.columns - 1))
                try await Task.sleep(for: Self.interval)
            }
        }
    }
}
