import TestSupport
import Testing
import Upstream

@Suite("Backoff")
struct BackoffTests {
    @Test("the bound doubles from the first to the largest")
    func bounds() {
        let backoff = Backoff(initial: .seconds(1), max: .seconds(900))
        let seconds = (0...12).map { backoff.bound(attempt: $0) }
        let expected = [1, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]
        #expect(seconds == expected.map { .seconds($0) })
        #expect(backoff.bound(attempt: .max) == .seconds(900))
        #expect(backoff.bound(attempt: .min) == .seconds(1))
    }

    @Test("a first bound above the largest is cut, and extreme durations do not overflow")
    func extremes() {
        #expect(Backoff(initial: .seconds(10), max: .seconds(3)).bound(attempt: 1) == .seconds(3))
        #expect(Backoff(initial: .seconds(-1), max: .seconds(3)).bound(attempt: 9) == .zero)
        var generator = SeededGenerator(seed: 3)
        let endless = Backoff(initial: .seconds(1), max: .seconds(Int64.max))
        #expect(endless.delay(attempt: 64, using: &generator) >= .zero)
    }

    @Test("draws are spread over the whole interval, from zero to the bound")
    func jitter() {
        var generator = SeededGenerator(seed: 7)
        let backoff = Backoff(initial: .seconds(1), max: .seconds(60))
        var quarters = [0, 0, 0, 0]
        for _ in 0..<4000 {
            let delay = backoff.delay(attempt: 4, using: &generator)
            #expect(delay >= .zero && delay <= .seconds(8))
            quarters[min(3, Int(delay.components.seconds) / 2)] += 1
        }
        for quarter in quarters { #expect((800...1200).contains(quarter)) }
    }
}
