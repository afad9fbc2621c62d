import TestSupport
import Testing

@testable import RelayDaemon

@Suite struct LogBufferTests {
    private static func line(_ count: Int) -> LogEntry { .line([UInt8](repeating: 0x78, count: count)) }

    @Test func `lines come out in their order`() {
        var buffer = LogBuffer()
        for count in 1...3 { _ = buffer.append(Self.line(count), nowMilliseconds: 0) }
        let lines = (1...4).map { _ in buffer.next() }
        #expect(lines == [Self.line(1), Self.line(2), Self.line(3), nil])
        #expect(buffer.gap == nil)
    }

    @Test func `a full buffer drops what comes, and says how many and since when`() {
        var buffer = LogBuffer()
        for _ in 0..<LogBuffer.maxEntries { _ = buffer.append(Self.line(1), nowMilliseconds: 0) }
        let taken = [5, 6].map { buffer.append(Self.line(1), nowMilliseconds: $0) }
        #expect(taken == [false, false])
        #expect(buffer.gap == LogBuffer.Gap(lines: 2, sinceMilliseconds: 5))
        _ = buffer.next()
        let isTakenAgain = buffer.append(Self.line(1), nowMilliseconds: 7)
        #expect(isTakenAgain)
    }

    @Test func `what was dropped while a gap was reported is a gap of its own`() throws {
        var buffer = LogBuffer()
        buffer.noteDropped(nowMilliseconds: 1)
        let reported = try #require(buffer.gap)
        buffer.noteDropped(nowMilliseconds: 2)
        buffer.noteReported(reported, nowMilliseconds: 3)
        #expect(buffer.gap == LogBuffer.Gap(lines: 1, sinceMilliseconds: 3))
        buffer.noteReported(LogBuffer.Gap(lines: 1, sinceMilliseconds: 3), nowMilliseconds: 4)
        #expect(buffer.gap == nil && buffer.droppedCount == 2)
    }

    @Test func `over any course of events the bounds hold and every line is written, waiting or counted`() {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededGenerator(seed: seed)
        var buffer = LogBuffer()
        var (appended, taken, reported): (UInt64, UInt64, UInt64) = (0, 0, 0)
        for step in 0..<100_000 {
            switch Int.random(in: 0..<10, using: &random) {
            case 0..<6:
                let size = Int.random(in: 0..<10, using: &random) == 0 ? 50_000 : 40
                _ = buffer.append(Self.line(size), nowMilliseconds: Int64(step))
                appended += 1
            case 6..<9: if buffer.next() != nil { taken += 1 }
            default:
                guard let gap = buffer.gap else { continue }
                buffer.noteReported(gap, nowMilliseconds: Int64(step))
                reported += gap.lines
            }
            let isKept = appended == taken + UInt64(buffer.count) + buffer.droppedCount
            let isTold = buffer.droppedCount == reported + (buffer.gap?.lines ?? 0)
            guard isKept, isTold, buffer.count <= LogBuffer.maxEntries else {
                Issue.record("seed \(seed), step \(step)")
                return
            }
        }
        #expect(buffer.droppedCount > 0, "seed \(seed)")
    }
}
