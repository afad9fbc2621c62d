import TestSupport
import Testing
import Upstream

/// Random histories, held against a reading of design §4 that keeps everything and computes from scratch.
@Suite("Circuit breaker against its model")
struct CircuitBreakerModelTests {
    private struct Model {
        enum Event {
            case success
            case failure(String?)
        }
        var sinceClosed: [Event] = []

        var saysGone: Bool {
            var run: [String?] = []
            var window: [Event] = []
            for event in self.sinceClosed {
                switch event {
                case .success:
                    run = []
                    window.append(event)
                case .failure(nil):
                    run.append(nil)
                    window.append(event)
                case .failure(let origin):
                    if !run.contains(origin) { run.append(origin) }
                    let isKnown = window.suffix(20).contains {
                        if case .failure(origin) = $0 { true } else { false }
                    }
                    if !isKnown { window.append(event) }
                }
            }
            let failures = window.suffix(20).count { if case .failure = $0 { true } else { false } }
            return run.count >= 5 || failures >= 10
        }
    }

    private struct Running {
        let permit: Permit
        let origin: String
        let traffic: Traffic
        let closings: Int
    }

    static let seeds: [UInt64] = {
        var random = SystemRandomNumberGenerator()
        return (1...20).map { UInt64($0) } + (0..<20).map { _ in random.next() }
    }()

    private static func isCounted(_ signal: Signal) -> Bool {
        switch signal {
        case .answered(let status): (502...504).contains(status)
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
        var openings = 0
        // Some histories are mostly good, some mostly bad, so that both sides of every threshold are seen.
        let badness = Int.random(in: 1...9, using: &choice)
        let signals: [Signal] = [.unreachable, .timeout, .broken, .answered(status: 502), .answered(status: 503)]
        let neutral: [Signal] = [.answered(status: 500), .abandoned]
        let good: [Signal] = [.answered(status: 200), .answered(status: 404), .answered(status: 429)]

        for step in 0..<3000 {
            driver.now += .milliseconds(Int.random(in: 0...40, using: &choice))
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
                    running.append(Running(permit: permit, origin: origin, traffic: traffic, closings: closings))
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
                driver.end(ended.permit, signal)
                if case .answered(..<500) = signal {
                    #expect(driver.isClosed, "seed \(seed), step \(step)")
                    if wasClosed {
                        model.sinceClosed.append(.success)
                    } else {
                        closings += 1
                        model.sinceClosed = []
                        #expect(driver.breaker.concurrencyLimit == 1)
                    }
                } else if wasClosed, Self.isCounted(signal), ended.closings == closings {
                    model.sinceClosed.append(.failure(signal == .unreachable ? nil : ended.origin))
                }
                if wasClosed {
                    #expect(driver.isClosed == !model.saysGone, "seed \(seed), step \(step)")
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
