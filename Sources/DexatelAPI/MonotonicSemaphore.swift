private import CLinux
package import Dispatch
private import Glibc

/// A counting semaphore whose time-outs go by the monotonic clock.
///
/// On Linux `DispatchSemaphore` waits by the wall clock: one that is set back makes a wait of a second as long as the step, and
/// one that stands far ahead ends each wait at once.
package final class MonotonicSemaphore: @unchecked Sendable {
    // Proof: `count` is read and changed with `mutex` locked alone, and the pointers never change.
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var count = 0

    /// A semaphore at zero.
    package init() {
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(condition, nil)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    /// Lets one wait end, now or when it comes.
    package func signal() {
        pthread_mutex_lock(mutex)
        count += 1
        pthread_mutex_unlock(mutex)
        pthread_cond_signal(condition)
    }

    /// Waits for a signal, and takes it; false when the deadline came first.
    @discardableResult
    package func wait(until deadline: DispatchTime) -> Bool {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        // What Dispatch calls uptime is CLOCK_MONOTONIC.
        let nanoseconds = deadline.uptimeNanoseconds
        var moment = timespec()
        moment.tv_sec = Int(nanoseconds / 1_000_000_000)
        moment.tv_nsec = Int(nanoseconds % 1_000_000_000)
        while count == 0 {
            let result =
                deadline == .distantFuture
                ? pthread_cond_wait(condition, mutex) : clinux_wait_until(condition, mutex, &moment)
            if result == ETIMEDOUT, count == 0 { return false }
        }
        count -= 1
        return true
    }
}
