import CLinux

/// Keeps glibc's allocator from holding on to far more memory than the daemon uses (P8).
///
/// A write's memory is allocated by one thread and freed by another, and each arena keeps much of what it once had
/// (docs/performance.md).
package enum AllocatorLimits {
    /// One for the event loops and tasks, one for the commit thread and the database.
    private static let maxArenas: Int32 = 2

    /// To be called before there are other threads: an arena that exists stays.
    package static func apply() {
        _ = clinux_limit_arenas(maxArenas)
    }
}
