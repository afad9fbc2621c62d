import Testing

@testable import ProxyServer

@Suite struct AcceptGateTests {
    private static let start = ContinuousClock.now

    @Test func `an episode of failures is news when it begins and when it has ended for a while`() {
        var episode = AcceptEpisode()
        #expect(episode.accepted(now: Self.start) == .none)
        #expect(episode.failed(now: Self.start) == .began)
        for second in 1...100 {
            #expect(episode.failed(now: Self.start + .seconds(second)) == .none)
            // A descriptor that becomes free now and then is not the end of it.
            #expect(episode.accepted(now: Self.start + .seconds(second)) == .none)
        }
        #expect(episode.accepted(now: Self.start + .seconds(109)) == .none)
        #expect(episode.accepted(now: Self.start + .seconds(110)) == .ended(failures: 101))
        #expect(episode.accepted(now: Self.start + .seconds(200)) == .none)
        #expect(episode.failed(now: Self.start + .seconds(201)) == .began)
    }
}
