import TestSupport
import Testing

@testable import RelayDaemon

@Suite struct DescriptorBudgetTests {
    @Test(arguments: [
        (1 << 20, 4_096, 32, 4_096, 32), (4_192, 4_096, 32, 4_096, 32), (4_191, 4_096, 32, 4_095, 32),
        (1_024, 4_096, 32, 928, 32), (256, 4_096, 32, 160, 32), (100, 4_096, 32, 27, 9), (100, 10, 2, 10, 2),
    ])
    func `connections take what is left`(limit: Int, clients: Int, upstream: Int, gotClients: Int, gotUpstream: Int) {
        let budget = DescriptorBudget(
            limit: limit,
            eventLoops: 2,
            maxConnections: clients,
            maxUpstreamConnections: upstream
        )
        #expect(
            budget?.connections == gotClients && budget?.upstreamConnections == gotUpstream,
            "\(String(describing: budget))"
        )
    }

    @Test func `whatever the limit is, it is kept, and a start has enough for both sides`() {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededGenerator(seed: seed)
        for _ in 0..<100_000 {
            let (limit, loops) = (Int.random(in: 0...5_000, using: &random), Int.random(in: 1...64, using: &random))
            let wanted = (Int.random(in: 1...9_999, using: &random), Int.random(in: 1...999, using: &random))
            let budget = DescriptorBudget(
                limit: limit,
                eventLoops: loops,
                maxConnections: wanted.0,
                maxUpstreamConnections: wanted.1
            )
            guard let budget else {
                guard limit < DescriptorBudget.minLimit(eventLoops: loops) else {
                    Issue.record("seed \(seed): nothing of \(limit)")
                    return
                }
                continue
            }
            let isKept = budget.connections + budget.upstreamConnections < limit
            let isWanted = budget.connections <= wanted.0 && budget.upstreamConnections <= wanted.1
            let isEnough = budget.connections >= min(8, wanted.0) && budget.upstreamConnections >= min(4, wanted.1)
            guard isKept, isWanted, isEnough else {
                Issue.record("seed \(seed): \(budget) of \(limit), \(loops) loops, \(wanted) wanted")
                return
            }
        }
    }
}
