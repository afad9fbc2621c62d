import Testing
import Upstream

@Suite("Breaker: the limit of deliveries")
struct DeliveryLimitTests {
    private func closedAgain(limit: Int = 8) throws -> BreakerDriver {
        let driver = BreakerDriver(BreakerConfiguration(maxConcurrentDeliveries: limit))
        driver.openByRefusal()
        driver.passInterval()
        let probe = try #require(driver.permit("probe"))
        driver.end(probe, .answered(status: 200))
        return driver
    }

    @Test("begins at the limit where nothing bad is known")
    func coldStart() {
        let driver = BreakerDriver(BreakerConfiguration(maxConcurrentDeliveries: 3))
        for index in 0..<3 { #expect(driver.permit("lane\(index)", .delivery) != nil) }
        #expect(driver.ask("lane3", .delivery) == .saturated)
        #expect(driver.permit("read", .read) != nil)
        #expect(driver.permit("post", .passThrough) != nil)
        #expect(driver.breaker.deliveriesInFlight == 3)
    }

    @Test("grows from one to the limit with each success, and no further")
    func grows() throws {
        let driver = try self.closedAgain()
        for expected in [1, 2, 3, 4, 5, 6, 7, 8, 8, 8] {
            #expect(driver.breaker.concurrencyLimit == expected)
            var permits: [Permit] = []
            while let permit = driver.permit("lane\(permits.count)", .delivery) { permits.append(permit) }
            #expect(permits.count == expected)
            driver.end(permits.removeFirst(), .answered(status: 200))
            for permit in permits { driver.end(permit, .answered(status: 500)) }
        }
    }

    @Test(
        "halves on 429, 503 and timeouts, down to one",
        arguments: [Signal.answered(status: 429), .answered(status: 503), .timeout]
    )
    func halves(signal: Signal) {
        let driver = BreakerDriver(BreakerConfiguration(maxConcurrentDeliveries: 8))
        for expected in [8, 4, 2, 1, 1] {
            #expect(driver.breaker.concurrencyLimit == expected)
            driver.exchange("lane", signal, .delivery)
        }
        #expect(driver.isClosed)
    }

    @Test("halves once for deliveries that were in flight together")
    func halvesOncePerBurst() {
        let driver = BreakerDriver(BreakerConfiguration(maxConcurrentDeliveries: 8))
        var burst: [Permit] = []
        while let permit = driver.permit("lane\(burst.count)", .delivery) { burst.append(permit) }
        for permit in burst { driver.end(permit, .answered(status: 429)) }
        #expect(driver.breaker.concurrencyLimit == 4)
        driver.exchange("lane", .answered(status: 429), .delivery)
        #expect(driver.breaker.concurrencyLimit == 2)
    }

    @Test("reads and pass-through neither grow nor halve it", arguments: [Traffic.read, .passThrough])
    func othersDoNotMoveIt(traffic: Traffic) throws {
        let driver = try self.closedAgain()
        driver.exchange("other", .answered(status: 200), traffic)
        #expect(driver.breaker.concurrencyLimit == 1)
        driver.exchange("lane", .answered(status: 200), .delivery)
        driver.exchange("other", .answered(status: 429), traffic)
        driver.exchange("other", .timeout, traffic)
        #expect(driver.breaker.concurrencyLimit == 2)
    }

    @Test("a permit that is handed back twice frees one place")
    func twice() throws {
        let driver = BreakerDriver(BreakerConfiguration(maxConcurrentDeliveries: 2))
        let first = try #require(driver.permit("a", .delivery))
        _ = try #require(driver.permit("b", .delivery))
        driver.end(first, .abandoned)
        driver.end(first, .abandoned)
        #expect(driver.permit("c", .delivery) != nil)
        #expect(driver.ask("d", .delivery) == .saturated)
    }

    @Test("a limit below one counts as one")
    func minimum() {
        let driver = BreakerDriver(BreakerConfiguration(maxConcurrentDeliveries: 0))
        #expect(driver.exchange("lane", .answered(status: 200), .delivery))
    }
}
