import AdminAPI
import Logging
import NIOCore
import Outbox
import ServiceLifecycle
import Synchronization

/// Tells `writes.on_dead_url` of each dead write, until somebody there has taken it (design §3.5).
///
/// One at a time, and at least once: what was told is noted in the outbox afterwards. Only what is still dead is told. It
/// has a client, a connection and a pace of its own, so that a receiver that is slow or gone disturbs nothing else.
final class DeadWriteWebhook: Service {
    /// How often it looks for deaths whose rest is over.
    private static let lookInterval: Duration = .seconds(1)
    /// How long it waits after the outbox could not be read or written.
    private static let outboxPause: Duration = .seconds(5)

    private struct State {
        var pace = WebhookPace()
        var told: UInt64 = 0
        var failures: UInt64 = 0
        var lastError: String?
    }

    private let url: WebhookURL
    private let outbox: Outbox
    private let group: any EventLoopGroup
    private let logger: Logger
    private let state = Mutex(State())
    private let news: AsyncStream<Void>
    private let waker: AsyncStream<Void>.Continuation

    init(_ url: WebhookURL, outbox: Outbox, group: any EventLoopGroup, logger: Logger) {
        self.url = url
        self.outbox = outbox
        self.group = group
        self.logger = logger
        (news, waker) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        outbox.setDeathObserver { [waker] _ in waker.yield() }
    }

    func run() async throws {
        let transport = WebhookTransport(url, group: group)
        await cancelWhenGracefulShutdown {
            await withTaskGroup(of: Void.self) { tasks in
                tasks.addTask {
                    while !Task.isCancelled {
                        self.waker.yield()
                        try? await Task.sleep(for: Self.lookInterval)
                    }
                }
                for await _ in self.news { await self.tellAll(transport) }
                tasks.cancelAll()
            }
        }
        await transport.shutdown()
    }

    /// How it does, for status and metrics.
    func status() async -> RelayStatus.Webhook {
        let waiting = try? await outbox.untoldDeadWriteCount()
        return state.withLock { state in
            var status = RelayStatus.Webhook()
            status.waiting = waiting ?? 0
            status.told = state.told
            status.failures = state.failures
            status.failuresInARow = state.pace.failuresInARow
            status.lastError = state.lastError
            return status
        }
    }

    /// Tells what is due, until nothing is.
    private func tellAll(_ transport: WebhookTransport) async {
        while !Task.isCancelled {
            if let pause = state.withLock({ $0.pace.pauseMilliseconds(now: Self.now()) }) {
                try? await Task.sleep(for: .milliseconds(pause))
                continue
            }
            do {
                // One by one: the next may have been retried or discarded by the time that this one is told.
                guard let dead = try await outbox.untoldDeadWrites(limit: 1).first else { return }
                let outcome = await transport.send(dead)
                // An event that was cut off by the end of the daemon is told by the next one.
                guard !Task.isCancelled else { return }
                try await note(outcome, dead)
            } catch {
                logger.debug("deaths cannot be read or noted now", metadata: ["error": "\(error)"])
                try? await Task.sleep(for: Self.outboxPause)
            }
        }
    }

    private func note(_ outcome: WebhookPace.Outcome, _ dead: DeadWrite) async throws {
        switch outcome {
        case .told:
            let failures = state.withLock { state in
                defer { state.pace.told() }
                state.told += 1
                state.lastError = nil
                return state.pace.failuresInARow
            }
            if failures > 0 {
                logger.notice("writes.on_dead_url takes events again", metadata: ["failures": "\(failures)"])
            }
            try await outbox.markTold([dead])
        case .failed(let error, let retryAfter):
            let (failures, rest) = state.withLock { state in
                var generator = SystemRandomNumberGenerator()
                state.failures += 1
                state.lastError = error
                let rest = state.pace.failed(
                    tellAttempts: dead.tellAttempts,
                    retryAfterMilliseconds: retryAfter,
                    now: Self.now(),
                    using: &generator
                )
                return (state.pace.failuresInARow, rest)
            }
            // The first of a row is news; the others are counted.
            logger.log(
                level: failures == 1 ? .warning : .debug,
                "writes.on_dead_url did not take an event; it is told again",
                metadata: ["write": "\(dead.id)", "error": "\(error)"]
            )
            try await outbox.tellLater([dead], milliseconds: rest)
        }
    }

    /// Milliseconds of a clock that only goes forward.
    private static func now() -> Int64 { (ContinuousClock.now - start).wholeMilliseconds }

    private static let start = ContinuousClock.now
}
