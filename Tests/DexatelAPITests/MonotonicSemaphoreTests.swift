import DexatelAPI
import Dispatch
import Foundation
import Synchronization
import Testing

@Suite struct MonotonicSemaphoreTests {
    @Test func `signals are counted, and each ends one wait`() {
        let semaphore = MonotonicSemaphore()
        #expect(!semaphore.wait(until: .now()))
        semaphore.signal()
        semaphore.signal()
        #expect(semaphore.wait(until: .now()) && semaphore.wait(until: .distantFuture))
        #expect(!semaphore.wait(until: .now() + .milliseconds(1)))
        #expect(!semaphore.wait(until: DispatchTime(uptimeNanoseconds: 1)))
    }

    @Test func `no signal is lost between threads`() async {
        let (there, back) = (MonotonicSemaphore(), MonotonicSemaphore())
        let rounds = 10_000
        let thread = Thread {
            for round in 0..<rounds {
                there.wait(until: round % 2 == 0 ? .distantFuture : .now() + .seconds(600))
                back.signal()
            }
        }
        thread.start()
        for _ in 0..<rounds {
            there.signal()
            #expect(back.wait(until: .now() + .seconds(600)))
        }
    }
}
