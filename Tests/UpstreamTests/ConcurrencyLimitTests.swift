import TestSupport
import Testing

@testable import Upstream

@Suite("The limit of deliveries in flight finds out what an upstream takes")
struct ConcurrencyLimitTests {
    /// An upstream with so many workers, or as many as it needs, that far away, and more deliveries than it can take.
    struct Upstream {
        var way: Duration
        var service: Duration
        var limit: ConcurrencyLimit
        /// What comes on top of each delivery that makes its connection first.
        var connecting: Duration = .zero
        /// Deliveries that want a place at a time.
        var wanted = Int.max
        private(set) var now = ContinuousClock.now
        private(set) var replies = 0
        private var lastPermit: UInt64 = 0
        private var connections = 0
        private var idleAt: [ContinuousClock.Instant] = []
        private var underWay: [(permit: UInt64, began: ContinuousClock.Instant, ends: ContinuousClock.Instant)] = []

        init(way: Duration, service: Duration, workers: Int? = nil, maximum: Int) {
            (self.way, self.service) = (way, service)
            self.limit = ConcurrencyLimit(maximum: maximum)
            self.idleAt = Array(repeating: self.now, count: workers ?? 0)
        }

        private mutating func fill() {
            while self.underWay.count < self.wanted, !self.limit.isFull() {
                self.lastPermit += 1
                self.limit.start(self.lastPermit, now: self.now)
                var arrives = self.now + self.way / 2
                if self.underWay.count >= self.connections {
                    self.connections += 1
                    arrives += self.connecting
                }
                var served = arrives + self.service
                if let worker = self.idleAt.indices.min(by: { self.idleAt[$0] < self.idleAt[$1] }) {
                    served = max(served, self.idleAt[worker] + self.service)
                    self.idleAt[worker] = served
                }
                self.underWay.append((self.lastPermit, self.now, served + self.way / 2))
            }
        }

        /// Delivers for so long.
        mutating func run(for duration: Duration) {
            let end = self.now + duration
            self.fill()
            while let index = self.underWay.indices.min(by: { self.underWay[$0].ends < self.underWay[$1].ends }),
                self.underWay[index].ends <= end
            {
                let reply = self.underWay.remove(at: index)
                self.now = reply.ends
                self.replies += 1
                #expect(self.limit.end(reply.permit) == reply.began)
                self.limit.succeeded(reply.permit, began: reply.began, lastGiven: self.lastPermit, now: self.now)
                self.fill()
            }
            self.now = end
        }

        mutating func halve() { self.limit.halve(for: self.lastPermit + 1, lastGiven: self.lastPermit + 1) }
    }

    @Test("grows to its maximum while an upstream that is far away answers as fast as before")
    func farAway() {
        var upstream = Upstream(way: .milliseconds(50), service: .milliseconds(1), maximum: 40)
        // Connections with TLS take two round trips more.
        upstream.connecting = .milliseconds(100)
        upstream.run(for: .seconds(1))
        #expect(upstream.limit.limit == 40)
        let before = upstream.replies
        upstream.run(for: .seconds(40))
        #expect(
            upstream.replies - before > 40 * 700,
            "now and then a round is measured at the floor, which costs little"
        )
    }

    @Test(
        "settles where an upstream of few workers has enough to do, and its own strain does not become the norm",
        arguments: [(12, 20), (16, 10), (30, 100)]
    )
    func fewWorkers(workers: Int, serviceMilliseconds: Int) {
        var upstream = Upstream(
            way: .milliseconds(2),
            service: .milliseconds(serviceMilliseconds),
            workers: workers,
            maximum: 1_000
        )
        upstream.run(for: .seconds(20))
        var most = 0
        for _ in 0..<5 {
            let before = upstream.replies
            upstream.run(for: .seconds(20))
            // Nine tenths of what it can do at all.
            #expect(upstream.replies - before > 18 * workers * 1_000 / serviceMilliseconds)
            most = max(most, upstream.limit.limit)
        }
        let tolerated = (2 * (2 + serviceMilliseconds) + 5) * workers / serviceMilliseconds
        // What one round measures says how it was a round before.
        #expect((workers...tolerated * 3 / 2).contains(most))
    }

    @Test("never sinks below its floor for slow replies alone")
    func slow() {
        var upstream = Upstream(way: .milliseconds(1), service: .milliseconds(1), maximum: 40)
        upstream.run(for: .seconds(1))
        #expect(upstream.limit.limit == 40)
        upstream.service = .milliseconds(500)
        upstream.run(for: .seconds(20))
        #expect(upstream.limit.limit == ConcurrencyLimit.floor)
        // As that is how it is now, it grows again after a while.
        upstream.run(for: .seconds(60))
        #expect(upstream.limit.limit > ConcurrencyLimit.floor)
    }

    @Test("stays where it is while no delivery waits for a place")
    func notWanted() {
        var upstream = Upstream(way: .milliseconds(5), service: .milliseconds(1), maximum: 40)
        upstream.wanted = 5
        upstream.run(for: .seconds(10))
        #expect(upstream.limit.limit == ConcurrencyLimit.floor)
    }

    @Test("after a refusal grows by one with each round, and no more by doubling")
    func afterRefusal() {
        var upstream = Upstream(way: .milliseconds(50), service: .milliseconds(1), maximum: 64)
        upstream.run(for: .seconds(1))
        #expect(upstream.limit.limit == 64)
        upstream.halve()
        #expect(upstream.limit.limit == 32)
        upstream.run(for: .milliseconds(300))
        #expect((33...40).contains(upstream.limit.limit))
    }

    static let seeds: [UInt64] = {
        var random = SystemRandomNumberGenerator()
        return (1...10).map { UInt64($0) } + (0..<10).map { _ in random.next() }
    }()

    @Test("whatever happens, it stays within its bounds, and grows back when all is well", arguments: seeds)
    func anything(seed: UInt64) {
        var choice = SeededGenerator(seed: seed)
        let maximum = Int.random(in: 1...100, using: &choice)
        var upstream = Upstream(way: .milliseconds(10), service: .milliseconds(1), maximum: maximum)
        for step in 0..<100 {
            switch Int.random(in: 0..<10, using: &choice) {
            case 0: upstream.halve()
            case 1: upstream.limit.restart()
            case 2: upstream.limit.setMaximum(Int.random(in: 1...100, using: &choice))
            case 3: upstream.way = .milliseconds(Int.random(in: 20...200, using: &choice))
            case 4: upstream.wanted = Int.random(in: 0...120, using: &choice)
            default: upstream.run(for: .milliseconds(Int.random(in: 0...500, using: &choice)))
            }
            #expect((1...upstream.limit.maximum).contains(upstream.limit.limit), "seed \(seed), step \(step)")
        }
        (upstream.wanted, upstream.way) = (.max, .milliseconds(50))
        upstream.limit.setMaximum(maximum)
        upstream.run(for: .seconds(40))
        // It may just be measuring at the floor.
        let first = upstream.limit.limit
        upstream.run(for: .milliseconds(500))
        #expect(max(first, upstream.limit.limit) == maximum, "seed \(seed)")
    }
}
