import Testing
import Upstream

@Suite("Circuit breaker")
struct CircuitBreakerTests {
    @Test(
        "one poisonous origin never opens it, however long it fails",
        arguments: [Signal.timeout, .broken, .answered(status: 500), .answered(status: 503), .answered(status: 504)]
    )
    func poison(signal: Signal) {
        let driver = BreakerDriver()
        for round in 0..<1000 {
            #expect(driver.exchange("poison", signal))
            if round % 7 == 0 { driver.exchange("healthy", .answered(status: 200)) }
            #expect(driver.isClosed)
        }
    }

    @Test("four poisonous origins among healthy ones never open it")
    func fourPoisons() {
        let driver = BreakerDriver()
        for round in 0..<1000 {
            driver.exchange("poison\(round % 4)", .timeout)
            #expect(driver.isClosed)
            if round % 40 == 0 { driver.exchange("healthy\(round)", .answered(status: 200)) }
        }
    }

    @Test(
        "five distinct origins that fail while none succeeds open it",
        arguments: [
            Signal.timeout, .broken, .answered(status: 502), .answered(status: 503), .answered(status: 504),
            .answered(status: 520), .answered(status: 522), .answered(status: 525), .answered(status: 530),
        ]
    )
    func fiveOpen(signal: Signal) throws {
        let driver = BreakerDriver()
        for index in 0..<4 { driver.exchange("origin\(index)", signal) }
        #expect(driver.isClosed)
        let permit = try #require(driver.permit("origin4"))
        let transition = try #require(driver.end(permit, signal))
        #expect(transition.from == .closed)
        #expect(transition.to == driver.breaker.state)
        #expect(driver.isOpen)
        #expect(driver.breaker.since == driver.now)
    }

    @Test("five failures are not half of eleven outcomes, six of twelve are")
    func rate() {
        let driver = BreakerDriver()
        for _ in 0..<6 { driver.exchange("good", .answered(status: 404)) }
        for index in 0..<5 { driver.exchange("bad\(index)", .answered(status: 503)) }
        #expect(driver.isClosed)
        #expect(driver.breaker.failuresSinceSuccess == 5)
        driver.exchange("bad5", .answered(status: 503))
        #expect(driver.isOpen)
    }

    @Test("half of the last twenty open it after any number of successes")
    func halfOfTwenty() {
        let driver = BreakerDriver()
        for _ in 0..<100 { driver.exchange("good", .answered(status: 200)) }
        for index in 0..<9 { driver.exchange("bad\(index)", .answered(status: 503)) }
        #expect(driver.isClosed)
        driver.exchange("bad9", .answered(status: 503))
        #expect(driver.isOpen)
    }

    @Test("outcomes of more than a minute ago say nothing")
    func windowAges() {
        let driver = BreakerDriver()
        for _ in 0..<20 { driver.exchange("good", .answered(status: 200)) }
        for index in 0..<4 { driver.exchange("old\(index)", .broken) }
        driver.now += .seconds(61)
        for index in 0..<4 { driver.exchange("new\(index)", .broken) }
        #expect(driver.isClosed)
        driver.exchange("new4", .broken)
        #expect(driver.isOpen)
    }

    @Test("any number of slow resources does not open it while one other request succeeds as they wait")
    func slowResources() throws {
        let driver = BreakerDriver()
        for round in 0..<50 {
            let slow = try (0..<8).map { try #require(driver.permit("slow\(round).\($0)")) }
            driver.now += .seconds(5)
            driver.exchange("other", .answered(status: 200))
            driver.now += .seconds(5)
            for permit in slow { driver.end(permit, .timeout) }
            #expect(driver.isClosed)
        }
    }

    @Test("what pass-through runs into never opens it, but for connections that cannot be made")
    func passThroughDoesNotOpen() {
        let driver = BreakerDriver()
        for index in 0..<200 {
            let signal = [Signal.timeout, .broken, .answered(status: 503), .answered(status: 522)][index % 4]
            #expect(driver.exchange("POST /\(index)", signal, .passThrough))
            #expect(driver.isClosed)
        }
        for _ in 0..<5 { driver.exchange("POST /", .unreachable, .passThrough) }
        #expect(driver.isOpen)
    }

    @Test("failures leave the window when twenty newer outcomes are there")
    func windowSlides() {
        let driver = BreakerDriver()
        for index in 0..<9 {
            driver.exchange("good", .answered(status: 200))
            driver.exchange("good", .answered(status: 200))
            driver.exchange("bad\(index)", .timeout)
        }
        for _ in 0..<20 { driver.exchange("good", .answered(status: 200)) }
        for index in 20..<24 { driver.exchange("bad\(index)", .timeout) }
        #expect(driver.isClosed)
    }

    @Test("connections that cannot be made count every time, whoever asks")
    func refusedCounts() {
        let driver = BreakerDriver()
        for _ in 0..<4 { driver.exchange("only", .unreachable) }
        #expect(driver.isClosed)
        driver.exchange("only", .unreachable)
        #expect(driver.isOpen)
    }

    @Test("the first refused connection already shows, and the next answer clears it")
    func reachability() {
        let driver = BreakerDriver()
        #expect(driver.breaker.isReachable)
        driver.exchange("a", .unreachable)
        #expect(driver.isClosed)
        #expect(!driver.breaker.isReachable)
        driver.exchange("a", .answered(status: 503))
        #expect(driver.breaker.isReachable)
    }

    @Test("a poisonous origin's timeouts leave the upstream reachable")
    func timeoutIsReachable() {
        let driver = BreakerDriver()
        driver.exchange("a", .timeout)
        #expect(driver.breaker.isReachable)
    }

    @Test("while open everything is refused until the interval is over", arguments: [Traffic.read, .delivery])
    func openRefuses(traffic: Traffic) throws {
        let driver = BreakerDriver()
        driver.openByRefusal()
        guard case .open(let until) = driver.breaker.state else {
            Issue.record("not open")
            return
        }
        #expect(until - driver.now >= .milliseconds(250))
        #expect(until - driver.now <= .seconds(1))
        #expect(driver.ask("fresh", traffic) == .refused(retryAt: until))
        driver.now = until
        let probe = try #require(driver.permit("fresh", traffic))
        #expect(probe.isProbe)
        #expect(driver.breaker.state == .halfOpen)
    }

    @Test("one request probes at a time, and a probe that is never handed back is given up")
    func oneProbe() throws {
        let driver = BreakerDriver()
        driver.openByRefusal()
        driver.passInterval()
        let lost = try #require(driver.permit("first"))
        for index in 0..<20 { #expect(driver.permit("other\(index)") == nil) }
        driver.now += .seconds(59)
        #expect(driver.permit("other") == nil)
        driver.now += .seconds(1)
        let second = try #require(driver.permit("other"))
        #expect(second.isProbe)
        driver.end(lost, .timeout)
        #expect(driver.breaker.state == .halfOpen)
        #expect(driver.permit("third") == nil)
    }

    @Test("any reply below 500 closes it", arguments: [200, 204, 301, 400, 401, 403, 404, 409, 429, 499])
    func closes(status: Int) throws {
        let driver = BreakerDriver()
        driver.openBy503()
        driver.passInterval()
        let probe = try #require(driver.permit("fresh"))
        let transition = driver.end(probe, .answered(status: status))
        #expect(transition?.from == .halfOpen)
        #expect(transition?.to == .closed)
        #expect(driver.breaker.failuresSinceSuccess == 0)
        #expect(driver.permit("anyone") != nil)
    }

    @Test(
        "a failed probe opens it again",
        arguments: [
            Signal.unreachable, .timeout, .broken, .answered(status: 500), .answered(status: 501),
            .answered(status: 502), .answered(status: 503), .answered(status: 504),
        ]
    )
    func failedProbe(signal: Signal) throws {
        let driver = BreakerDriver()
        driver.openBy503()
        driver.passInterval()
        let probe = try #require(driver.permit("fresh"))
        driver.end(probe, signal)
        #expect(driver.isOpen)
        #expect(driver.permit("other") == nil)
    }

    @Test("an abandoned probe lets the next one go at once")
    func abandonedProbe() throws {
        let driver = BreakerDriver()
        driver.openBy503()
        driver.passInterval()
        let probe = try #require(driver.permit("fresh"))
        #expect(driver.end(probe, .abandoned) == nil)
        #expect(driver.permit("other")?.isProbe == true)
    }

    @Test("open intervals grow to a minute and no further, and are never shorter than a quarter of a second")
    func intervals() throws {
        var longest = Duration.zero
        for seed in UInt64(1)...50 {
            let driver = BreakerDriver(seed: seed)
            driver.openByRefusal()
            for opening in 0..<12 {
                guard case .open(let until) = driver.breaker.state else {
                    Issue.record("not open, seed \(seed)")
                    return
                }
                let interval = until - driver.now
                #expect(interval >= .milliseconds(250))
                #expect(interval <= min(.seconds(60), .seconds(1 << opening)))
                longest = max(longest, interval)
                driver.now = until
                let probe = try #require(driver.permit("probe\(opening)"))
                driver.end(probe, .unreachable)
            }
        }
        #expect(longest > .seconds(50))
    }

    @Test("a probe that is answered with 500 does not lengthen the interval")
    func neutralProbe() throws {
        let driver = BreakerDriver()
        driver.openBy503()
        for round in 0..<50 {
            driver.passInterval()
            let probe = try #require(driver.permit("probe\(round)"))
            driver.end(probe, .answered(status: 500))
            guard case .open(let until) = driver.breaker.state else {
                Issue.record("not open")
                return
            }
            #expect(until - driver.now <= .seconds(1))
        }
    }

    @Test("origins that have not failed probe first, and the last prober last")
    func turns() throws {
        let driver = BreakerDriver()
        driver.openBy503()
        driver.passInterval()
        let opening = driver.now
        #expect(driver.ask("origin0") == .refused(retryAt: opening + .milliseconds(250)))
        let probe = try #require(driver.permit("fresh"))
        driver.end(probe, .timeout)
        driver.passInterval()
        let second = driver.now
        #expect(driver.ask("fresh") == .refused(retryAt: second + .milliseconds(500)))
        #expect(driver.ask("origin0") == .refused(retryAt: second + .milliseconds(250)))
        driver.now = second + .milliseconds(250)
        #expect(driver.permit("fresh") == nil)
        #expect(driver.permit("origin0")?.isProbe == true)
    }

    @Test("a lone origin gets its turn, too")
    func loneOrigin() throws {
        let driver = BreakerDriver()
        driver.openByRefusal()
        for _ in 0..<5 {
            driver.passInterval()
            var admission = driver.ask("only")
            if case .refused(let turn) = admission {
                driver.now = turn
                admission = driver.ask("only")
            }
            guard case .go(let probe) = admission else {
                Issue.record("not admitted when told to come")
                return
            }
            driver.end(probe, .timeout)
        }
        driver.now += .seconds(61)
        let probe = try #require(driver.permit("only"))
        driver.end(probe, .answered(status: 200))
        #expect(driver.isClosed)
    }

    @Test("pass-through is refused only while the upstream does not answer")
    func passThrough() throws {
        let answering = BreakerDriver()
        answering.openBy503()
        let permit = try #require(answering.permit("post", .passThrough))
        #expect(!permit.isProbe)
        answering.end(permit, .answered(status: 503))
        #expect(answering.isOpen)
        #expect(answering.exchange("post", .answered(status: 201), .passThrough))
        #expect(answering.isClosed)

        let gone = BreakerDriver()
        gone.openByRefusal()
        #expect(gone.permit("post", .passThrough) == nil)
        gone.passInterval()
        #expect(gone.permit("post", .passThrough)?.isProbe == true)
    }

    @Test("a request from before the opening that is answered closes it, one that fails changes nothing")
    func stragglers() throws {
        let driver = BreakerDriver()
        let good = try #require(driver.permit("straggler"))
        let bad = try #require(driver.permit("other"))
        driver.openByRefusal()
        let opened = driver.breaker.state
        #expect(driver.end(bad, .timeout) == nil)
        #expect(driver.breaker.state == opened)
        driver.end(good, .answered(status: 200))
        #expect(driver.isClosed)
    }

    @Test("failures of requests from before the closing do not open it again")
    func staleFailures() throws {
        let driver = BreakerDriver()
        var stale: [Permit] = []
        for index in 0..<10 { stale.append(try #require(driver.permit("stale\(index)"))) }
        driver.openByRefusal()
        driver.passInterval()
        driver.exchange("probe", .answered(status: 200))
        #expect(driver.isClosed)
        for permit in stale { driver.end(permit, .timeout) }
        #expect(driver.isClosed)
    }

    @Test("of an upstream that has been replaced nothing bad is remembered")
    func replacedUpstream() throws {
        let driver = BreakerDriver()
        let old = try #require(driver.permit("old"))
        for index in 0..<5 { driver.exchange("origin\(index)", .unreachable) }
        #expect(!driver.isClosed && !driver.breaker.isReachable)
        driver.breaker.replaceUpstream(now: .now)
        #expect(driver.isClosed && driver.breaker.isReachable && driver.breaker.failuresSinceSuccess == 0)
        // Stragglers of the old one do not open it, whatever they say.
        driver.end(old, .timeout)
        for index in 0..<4 { driver.exchange("origin\(index)", .timeout) }
        #expect(driver.isClosed)
    }

    @Test("the limit of deliveries stays where it is under a greater maximum, and below a lower one")
    func newMaximum() {
        var breaker = CircuitBreaker(configuration: BreakerConfiguration(maxConcurrentDeliveries: 8), now: .now)
        breaker.setMaxConcurrentDeliveries(12)
        #expect(breaker.concurrencyLimit == 8)
        breaker.setMaxConcurrentDeliveries(3)
        #expect(breaker.concurrencyLimit == 3)
        breaker.replaceUpstream(now: .now)
        #expect(breaker.concurrencyLimit == 1)
        breaker.setMaxConcurrentDeliveries(9)
        #expect(breaker.concurrencyLimit == 1)
    }

    // MARK: - Connections of the daemon's own

    private static func probing(seed: UInt64 = 1) -> BreakerDriver {
        var configuration = BreakerConfiguration()
        configuration.probeInterval = .seconds(2)
        return BreakerDriver(configuration, seed: seed)
    }

    @Test("while the daemon tries connections, no request goes before one stands")
    func requestsWait() {
        let driver = Self.probing()
        driver.openByRefusal()
        for _ in 0..<20 {
            driver.now += .seconds(2)
            #expect(driver.permit("app") == nil)
            #expect(driver.permit("app", .delivery) == nil)
            #expect(driver.permit("app", .passThrough) == nil)
            #expect(!driver.tryConnection(false))
        }
        driver.now += .seconds(2)
        #expect(driver.tryConnection(true))
        #expect(driver.isClosed && driver.breaker.isReachable && driver.breaker.concurrencyLimit == 1)
        #expect(driver.permit("app") != nil)
        #expect(driver.permit("app", .delivery) != nil)
    }

    @Test("after errors a connection that stands lets one request find out, again and again")
    func requestFindsOut() throws {
        let driver = Self.probing()
        driver.openBy503()
        for round in 0..<20 {
            #expect(driver.permit("app\(round)") == nil)
            driver.now += .seconds(2)
            #expect(driver.tryConnection(true))
            #expect(!driver.isClosed)
            let probe = try #require(driver.permit("app\(round)"))
            #expect(probe.isProbe)
            #expect(driver.permit("other\(round)") == nil)
            #expect(!driver.tryConnection(true))
            driver.end(probe, .answered(status: 503))
        }
        driver.now += .seconds(2)
        #expect(driver.tryConnection(true))
        #expect(driver.exchange("last", .answered(status: 200)))
        #expect(driver.isClosed)
    }

    @Test("requests go by themselves if no connection is tried for a long time")
    func forgottenTrials() throws {
        let driver = Self.probing()
        driver.openByRefusal()
        for _ in 0..<1000 where driver.permit("app") == nil {
            guard case .refused(let retryAt) = driver.ask("app") else { break }
            #expect(retryAt > driver.now)
            driver.now = retryAt
        }
        #expect(driver.breaker.state == .halfOpen)
    }

    @Test("a connection that stands ends a doubt that has not opened it")
    func doubtEnds() {
        let driver = Self.probing()
        driver.exchange("only", .unreachable)
        #expect(driver.isClosed && !driver.breaker.isReachable)
        #expect(driver.tryConnection(true))
        #expect(driver.breaker.isReachable)
        #expect(!driver.tryConnection(true))
    }
}
