import Testing

@testable import RelayDaemon

@Suite struct LivenessTests {
    private static let start = ContinuousClock.now

    /// Judges one sample a second; a part turns in the seconds that are listed for it.
    private func verdicts(
        seconds: Int,
        stuck: [Liveness.Part: Range<Int>] = [:],
        oldestAttempt: (Int) -> Duration? = { _ in nil }
    ) -> [Liveness.Verdict] {
        var liveness = Liveness(tolerance: .seconds(5), patience: .seconds(20))
        var counts: [Liveness.Part: UInt64] = [:]
        return (0..<seconds).map { second in
            for part in Liveness.Part.allCases where stuck[part]?.contains(second) != true {
                counts[part, default: 0] += 1
            }
            return liveness.judge(
                Liveness.Sample(
                    eventLoops: counts[.eventLoops] ?? 0,
                    tasks: counts[.tasks] ?? 0,
                    commits: counts[.commits] ?? 0,
                    forwarder: counts[.forwarder] ?? 0,
                    oldestAttempt: oldestAttempt(second)
                ),
                maxAttempt: .seconds(70),
                now: Self.start + .seconds(second)
            )
        }
    }

    @Test func `while every part turns the daemon is alive`() {
        #expect(verdicts(seconds: 100).allSatisfy { $0 == .alive })
    }

    @Test(arguments: Liveness.Part.allCases)
    func `a part that stands still keeps the watchdog waiting, and then all is lost`(part: Liveness.Part) {
        let verdicts = verdicts(seconds: 60, stuck: [part: 10..<60])
        #expect(verdicts[..<15].allSatisfy { $0 == .alive })
        #expect(verdicts[15...29].allSatisfy { $0 == .waiting([part]) })
        #expect(verdicts[30...].allSatisfy { $0 == .lost(part) })
    }

    @Test(arguments: Liveness.Part.allCases)
    func `a part that turns again in time is forgiven`(part: Liveness.Part) {
        let verdicts = verdicts(seconds: 60, stuck: [part: 10..<25])
        #expect(verdicts[24] == .waiting([part]))
        #expect(verdicts[25...].allSatisfy { $0 == .alive })
    }

    @Test func `all parts that stand still are named`() {
        let verdicts = verdicts(seconds: 20, stuck: [.commits: 2..<20, .forwarder: 4..<20])
        #expect(verdicts[8] == .waiting([.commits]))
        #expect(verdicts[12] == .waiting([.commits, .forwarder]))
    }

    @Test func `a forwarder with an attempt that outlives every timeout is lost, although it turns`() {
        let verdicts = verdicts(seconds: 100) { .seconds($0) }
        #expect(verdicts[...70].allSatisfy { $0 == .alive })
        #expect(verdicts[71...].allSatisfy { $0 == .lost(.forwarder) })
    }
}
