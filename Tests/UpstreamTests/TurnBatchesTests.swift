import NIOCore
import NIOPosix
import Synchronization
import TestSupport
import Testing
import Upstream

@Suite struct TurnBatchesTests {
    @Test func `what one turn of a loop brings is taken together, in order, and once`() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
        let taken = Mutex<[[Int]]>([])
        let batches = TurnBatches<Int>(group) { elements in taken.withLock { $0.append(elements) } }
        let loops = group.makeIterator().map { $0 }
        for (number, loop) in loops.enumerated() {
            try await loop.submit {
                for element in 0..<3 { batches.add(10 * number + element, on: loop) }
            }.get()
            try await loop.submit { batches.add(10 * number + 3, on: loop) }.get()
        }
        try await eventually("all to be taken") { taken.withLock { $0.flatMap { $0 } }.count == 8 }
        #expect(taken.withLock { Set($0) } == [[0, 1, 2], [3], [10, 11, 12], [13]])
        try await group.shutdownGracefully()
    }
}
