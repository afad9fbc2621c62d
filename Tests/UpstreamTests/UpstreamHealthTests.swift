import Logging
import Synchronization
import Testing
import Upstream

@Suite("Upstream health")
struct UpstreamHealthTests {
    private final class Clock: Sendable {
        private let state = Mutex((now: ContinuousClock.now, unixMilliseconds: Int64(1_000_000)))

        func advance(milliseconds: Int64) {
            self.state.withLock {
                $0.now += .milliseconds(milliseconds)
                $0.unixMilliseconds += milliseconds
            }
        }
        var now: ContinuousClock.Instant { self.state.withLock { $0.now } }
        var unixMilliseconds: Int64 { self.state.withLock { $0.unixMilliseconds } }
    }

    private struct RecordingHandler: LogHandler {
        final class Lines: Sendable {
            let all = Mutex<[(level: Logger.Level, message: String, metadata: Logger.Metadata)]>([])
        }

        let lines: Lines
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.trace

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { self.metadata[key] }
            set { self.metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            self.lines.all.withLock { $0.append((event.level, "\(event.message)", event.metadata ?? [:])) }
        }
    }

    private final class Seen: Sendable {
        private let states = Mutex<[String]>([])

        func append(_ state: String) {
            self.states.withLock { $0.append(state) }
        }
        var all: [String] { self.states.withLock { $0 } }
    }

    private let clock = Clock()
    private let lines = RecordingHandler.Lines()
    private let health: UpstreamHealth

    init() {
        let clock = self.clock
        let lines = self.lines
        self.health = UpstreamHealth(
            configuration: BreakerConfiguration(),
            logger: Logger(label: "test") { _ in RecordingHandler(lines: lines) },
            now: { clock.now },
            unixMilliseconds: { clock.unixMilliseconds }
        )
    }

    private func exchange(_ origin: String, _ signal: Signal, error: String? = nil) {
        guard case .go(let permit) = self.health.mayStart(origin: OriginKey(origin), traffic: .read) else {
            Issue.record("refused")
            return
        }
        self.health.ended(permit, signal, error: error)
    }

    @Test("an outage is two lines in the log above debug, with its reason")
    func log() {
        for _ in 0..<5 { self.exchange("only", .unreachable, error: "connection refused") }
        self.clock.advance(milliseconds: 1000)
        self.exchange("second", .unreachable, error: "connection refused")
        self.clock.advance(milliseconds: 2000)
        self.exchange("third", .answered(status: 200))
        let loud = self.lines.all.withLock { $0.filter { $0.level > .debug } }
        #expect(loud.map(\.level) == [.warning, .notice])
        #expect(Set(loud.map(\.message)).count == 1)
        #expect(loud.first?.metadata["error"] == "connection refused")
        #expect(loud.first?.metadata["to"] == "open")
        #expect(loud.last?.metadata["to"] == "closed")
    }

    @Test("the snapshot says what is going on")
    func snapshot() throws {
        let before = self.health.snapshot()
        #expect(before.state == "closed" && before.isBelievedHealthy && before.lastError == nil)
        #expect(before.sinceUnixMilliseconds == 1_000_000)
        self.clock.advance(milliseconds: 500)
        self.exchange("only", .unreachable, error: "connection refused")
        #expect(self.health.snapshot().state == "closed")
        #expect(!self.health.snapshot().isBelievedHealthy)
        for _ in 0..<4 { self.exchange("only", .unreachable, error: "connection refused") }
        self.clock.advance(milliseconds: 100)
        let open = self.health.snapshot()
        #expect(open.state == "open")
        #expect(open.consecutiveFailures == 5)
        #expect(open.sinceUnixMilliseconds == 1_000_500)
        #expect(open.lastError == "connection refused")
        let nextProbe = try #require(open.nextProbeMilliseconds)
        #expect((150...900).contains(nextProbe))
        self.clock.advance(milliseconds: 1000)
        #expect(self.health.snapshot().nextProbeMilliseconds == 0)
        self.exchange("probe", .answered(status: 401))
        let closed = self.health.snapshot()
        #expect(closed.isBelievedHealthy)
        #expect(closed.concurrencyLimit == 1)
        #expect(before.transitions.open == 0 && before.transitions.closed == 0)
        #expect(open.transitions.open == 1 && open.transitions.closed == 0)
        #expect(closed.transitions.open == 1 && closed.transitions.halfOpen == 1 && closed.transitions.closed == 1)
        #expect(closed.revision > open.revision)
    }

    @Test("the observer hears of every change, may ask back, and is not called for anything else")
    func observer() {
        let seen = Seen()
        let health = self.health
        health.setObserver { snapshot in
            // Would hang if the observer were called under the lock.
            _ = health.snapshot()
            seen.append("\(snapshot.state)\(snapshot.isReachable ? "" : " unreachable")")
        }
        self.exchange("a", .answered(status: 200))
        self.exchange("a", .timeout)
        for _ in 0..<4 { self.exchange("a", .unreachable) }
        self.clock.advance(milliseconds: 1000)
        self.exchange("b", .answered(status: 204))
        #expect(seen.all == ["closed unreachable", "open unreachable", "half_open unreachable", "closed"])
    }
}
