import TestSupport
import Testing
import Upstream

/// Random histories, held against a reading of design §4 that keeps everything and computes from scratch.
@Suite("Circuit breaker against its model")
struct CircuitBreakerModelTests {
    private struct Model {
        struct Event {
            var at: ContinuousClock.Instant
            /// The origin that is blamed; nil for a success and for a connection that could not be made.
            var origin: String?
            var isFailure = true
        }
        var sinceClosed: [Event] = []

        /// Walks through everything since the breaker closed, and keeps of it what a window of twenty outcomes and a
        /// minute would.
        var saysGone: Bool {
            var window: [Event] = []
            var refusals = 0
            for event in self.sinceClosed {
                window = window.filter { event.at - $0.at <= .seconds(60) }
                if event.isFailure, let origin = event.origin, window.contains(where: { $0.origin == origin }) {
                    continue
                }
                if !event.isFailure { refusals = 0 }
                if event.isFailure, event.origin == nil { refusals += 1 }
                window = (window + [event]).suffix(20)
            }
            let failures = window.count { $0.isFailure }
            return refusals >= 5 || failures >= 5 && failures * 2 >= window.count
        }
    }

    private struct Running {
        let permit: Permit
        let origin: String
        let traffic: Traffic
        let closings: Int
        /// Successes of all traffic before it began.
        let successes: Int
    }

    static let seeds: [UInt64] = {
        var random = SystemRandomNumberGenerator()
        // In the history of the last of these a success is what makes old ones too old to count.
        return (1...20).map { UInt64($0) } + [3_650_567_317_904_337_497] + (0..<20).map { _ in random.next() }
    }()

    private static func isCounted(_ signal: Signal) -> Bool {
        switch signal {
        case .answered(let status): (502...504).contains(status) || (520...530).contains(status)
        case .unreachable, .timeout, .broken: true
        case .abandoned: false
        }
    }

    @Test("opens exactly when the model says so, probes one at a time, and always comes back", arguments: seeds)
    func history(seed: UInt64) {
        let maximum = 6
        var choice = SeededGenerator(seed: seed)
        var configuration = BreakerConfiguration(maxConcurrentDeliveries: maximum)
        configuration.maxProbeDuration = .seconds(86_400)
        let driver = BreakerDriver(configuration, seed: seed &+ 1)
        var model = Model()
        var running: [Running] = []
        var closings = 0
        var successes = 0
        var openings = 0
        // Some histories are mostly good, some mostly bad, so that both sides of every threshold are seen.
        let pace = [40, 400, 8000].randomElement(using: &choice) ?? 40
        let badness = Int.random(in: 1...9, using: &choice)
        let signals: [Signal] = [.unreachable, .timeout, .broken, .answered(status: 502), .answered(status: 521)]
        let neutral: [Signal] = [.answered(status: 500), .abandoned]
        let good: [Signal] = [.answered(status: 200), .answered(status: 404), .answered(status: 429)]

        for step in 0..<3000 {
            driver.now += .milliseconds(Int.random(in: 0...pace, using: &choice))
            if Bool.random(using: &choice), running.count < 30 {
                let origin = "origin\(Int.random(in: 0...12, using: &choice))"
                let traffic = [Traffic.delivery, .read, .passThrough].randomElement(using: &choice) ?? .read
                let deliveries = driver.breaker.deliveriesInFlight
                let wasClosed = driver.isClosed
                switch driver.ask(origin, traffic) {
                case .go(let permit):
                    if permit.isProbe {
                        #expect(!wasClosed)
                        #expect(!running.contains { $0.permit.isProbe && $0.closings == closings }, "seed \(seed)")
                    }
                    if wasClosed, traffic == .delivery { #expect(deliveries < driver.breaker.concurrencyLimit) }
                    running.append(
                        Running(
                            permit: permit,
                            origin: origin,
                            traffic: traffic,
                            closings: closings,
                            successes: successes
                        )
                    )
                case .refused(let retryAt):
                    #expect(!wasClosed, "seed \(seed), step \(step)")
                    #expect(retryAt > driver.now)
                    if Int.random(in: 0..<4, using: &choice) == 0 { driver.now = retryAt }
                case .saturated:
                    #expect(traffic == .delivery)
                    #expect(deliveries >= driver.breaker.concurrencyLimit)
                }
            } else if let index = running.indices.randomElement(using: &choice) {
                let ended = running.remove(at: index)
                let roll = Int.random(in: 0..<12, using: &choice)
                let signal =
                    (roll < badness ? signals : roll < 10 ? good : neutral).randomElement(using: &choice) ?? .abandoned
                let wasClosed = driver.isClosed
                let failures = model.sinceClosed.count { $0.isFailure }
                driver.end(ended.permit, signal)
                if case .answered(..<500) = signal {
                    #expect(driver.isClosed, "seed \(seed), step \(step)")
                    successes += 1
                    if wasClosed {
                        model.sinceClosed.append(.init(at: driver.now, isFailure: false))
                    } else {
                        closings += 1
                        model.sinceClosed = []
                        #expect(driver.breaker.concurrencyLimit == 1)
                    }
                } else if wasClosed, Self.isCounted(signal), ended.closings == closings {
                    if signal == .unreachable {
                        model.sinceClosed.append(.init(at: driver.now))
                    } else if ended.traffic != .passThrough, signal != .timeout || ended.successes == successes {
                        model.sinceClosed.append(.init(at: driver.now, origin: ended.origin))
                    }
                }
                if wasClosed {
                    // Only a failure opens it, even where others count for more by now, as successes have become old.
                    let hasFailed = model.sinceClosed.count { $0.isFailure } > failures
                    #expect(driver.isClosed == !(hasFailed && model.saysGone), "seed \(seed), step \(step)")
                    if !driver.isClosed { openings += 1 }
                }
                #expect((1...maximum).contains(driver.breaker.concurrencyLimit))
            }
        }
        // Whatever happened: hand everything back, wait as told, and a request goes.
        for left in running { driver.end(left.permit, .abandoned) }
        var isBack = false
        for _ in 0..<5 where !isBack {
            switch driver.ask("origin0") {
            case .go(let permit):
                driver.end(permit, .answered(status: 200))
                isBack = driver.isClosed
            case .refused(let retryAt): driver.now = retryAt
            case .saturated: break
            }
        }
        #expect(isBack, "seed \(seed)")
        if badness >= 8 { #expect(openings > 0, "seed \(seed)") }
    }
}
