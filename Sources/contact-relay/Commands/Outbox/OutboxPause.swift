import AdminAPI
import ArgumentParser

/// `contact-relay outbox pause`.
struct OutboxPause: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pause",
        abstract: "Pause deliveries: nothing is sent until they are resumed.",
        discussion: """
            Writes are still accepted and answered with 202, and reads show them; what is being sent just now ends. It lasts \
            over restarts.
            """
    )

    @OptionGroup var daemon: DaemonOptions

    func run() async throws {
        try await ExitStatus.explaining {
            _ = try await daemon.client().pauseDeliveries()
            try Output.print("deliveries are paused until contact-relay outbox resume")
        }
    }
}

/// `contact-relay outbox resume`.
struct OutboxResume: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume",
        abstract: "Resume deliveries that were paused."
    )

    @OptionGroup var daemon: DaemonOptions

    func run() async throws {
        try await ExitStatus.explaining {
            _ = try await daemon.client().resumeDeliveries()
            try Output.print("deliveries go on")
        }
    }
}

/// `contact-relay outbox flush`.
struct OutboxFlush: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "flush",
        abstract: "Send at once what waits for a time.",
        discussion: """
            Backoffs, Retry-After, the pauses of keys (429) and of the upstream (503), and the breaker's interval end. What \
            is held stays held, and what fails again waits again.
            """
    )

    @OptionGroup var daemon: DaemonOptions

    func run() async throws {
        try await ExitStatus.explaining {
            let reply = try await daemon.client().flushDeliveries()
            try Output.print(
                reply.paused
                    ? "nothing waits for a time any more; deliveries are paused (contact-relay outbox resume)"
                    : "what waited for a time is sent now"
            )
        }
    }
}
