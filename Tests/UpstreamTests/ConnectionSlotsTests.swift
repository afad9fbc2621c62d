import Testing

@testable import Upstream

@Suite("Connection slots")
struct ConnectionSlotsTests {
    private let farAway = ContinuousClock.now + .seconds(3600)

    @Test("a place that is let go serves the next one")
    func letGo() async throws {
        let slots = ConnectionSlots(count: 1, maxWaiters: 0)
        for _ in 0..<3 { _ = try await slots.acquire(until: self.farAway) }
        let held = try await slots.acquire(until: self.farAway)
        let failure = await #expect(throws: UpstreamFailure.self) { try await slots.acquire(until: self.farAway) }
        #expect(failure?.code == .saturated)
        held.release()
        held.release()
        let one = try await slots.acquire(until: self.farAway)
        await #expect(throws: UpstreamFailure.self) { try await slots.acquire(until: self.farAway) }
        one.release()
    }

    @Test("who waits gets the place that is given back")
    func handedOver() async throws {
        let slots = ConnectionSlots(count: 1, maxWaiters: 100)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<100 {
                group.addTask {
                    let slot = try await slots.acquire(until: self.farAway)
                    await Task.yield()
                    slot.release()
                }
            }
            try await group.waitForAll()
        }
        _ = try await slots.acquire(until: self.farAway)
    }

    @Test("the wait ends at the deadline, also at one that has passed")
    func deadline() async throws {
        let slots = ConnectionSlots(count: 1, maxWaiters: 4)
        let held = try await slots.acquire(until: self.farAway)
        for offset in [Duration.seconds(-1), .zero, .milliseconds(5)] {
            let failure = await #expect(throws: UpstreamFailure.self) {
                try await slots.acquire(until: .now + offset)
            }
            #expect(failure?.code == .saturated)
            #expect(failure?.mayHaveTakenEffect == false)
        }
        held.release()
        _ = try await slots.acquire(until: self.farAway)
    }

    @Test("a cancelled wait ends, and leaves the place to others")
    func cancelled() async throws {
        let slots = ConnectionSlots(count: 1, maxWaiters: 4)
        let held = try await slots.acquire(until: self.farAway)
        for yields in 0..<20 {
            let waiting = Task { try await slots.acquire(until: self.farAway) }
            for _ in 0..<yields { await Task.yield() }
            waiting.cancel()
            let failure = await #expect(throws: UpstreamFailure.self) { try await waiting.value }
            #expect(failure?.code == .cancelled)
            #expect(failure?.mayHaveTakenEffect == false)
        }
        held.release()
        _ = try await slots.acquire(until: self.farAway)
    }
}
