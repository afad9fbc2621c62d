import Testing

@testable import Outbox

@Suite struct RelayClockTests {
    struct Restart: Sendable {
        var savedRelay: Int64?
        var savedWall: Int64?
        var wallNow: Int64
        var resumesAt: Int64
    }

    @Test(arguments: [
        Restart(savedRelay: nil, savedWall: nil, wallNow: 1_000, resumesAt: 1_000),
        Restart(savedRelay: 5_000, savedWall: nil, wallNow: 1_000, resumesAt: 1_000),
        Restart(savedRelay: 5_000, savedWall: 100, wallNow: 100, resumesAt: 5_000),
        Restart(savedRelay: 5_000, savedWall: 100, wallNow: 350, resumesAt: 5_250),
        // The wall clock was set back: the relay's stands still.
        Restart(savedRelay: 5_000, savedWall: 100, wallNow: 99, resumesAt: 5_000),
        Restart(savedRelay: 5_000, savedWall: 100, wallNow: -1_000_000_000, resumesAt: 5_000),
        // Down for long, or the wall clock was set forward: an hour at most.
        Restart(savedRelay: 5_000, savedWall: 0, wallNow: 3_599_999, resumesAt: 3_604_999),
        Restart(savedRelay: 5_000, savedWall: 0, wallNow: 3_600_000, resumesAt: 3_605_000),
        Restart(savedRelay: 5_000, savedWall: 0, wallNow: 3_600_001, resumesAt: 3_605_000),
        Restart(savedRelay: 5_000, savedWall: 0, wallNow: 1_000_000_000_000, resumesAt: 3_605_000),
    ])
    func `a restart advances the clock by the wall clock's difference, from nothing to an hour`(_ restart: Restart) {
        #expect(RelayClock.resumed(restart.savedRelay, restart.savedWall, restart.wallNow) == restart.resumesAt)
    }

    @Test func `a running clock never goes back, and starts where the saved one stood`() {
        let source = RelayClock.Source(wallMilliseconds: { 30 }, monotonic: { .now })
        let clock = RelayClock(savedRelay: 77_000, savedWall: 10, source: source)
        var last = clock.now()
        #expect(last.milliseconds >= 77_020)
        for _ in 0..<1_000 {
            let now = clock.now()
            #expect(now >= last)
            last = now
        }
    }

    @Test func `times add up without overflowing`() {
        #expect(RelayTime(milliseconds: .max) + 1 == RelayTime(milliseconds: .max))
        #expect(RelayTime(milliseconds: 5) + -2 == RelayTime(milliseconds: 3))
    }
}
