import Glibc

/// Who asks.
///
/// All keys see the same contacts; each contact is written by one key alone.
enum ModelKey: Int, Sendable, CaseIterable {
    case first, second
    /// The upstream refuses this one with 401 at times.
    case revocable
    /// Only reads.
    case watcher
    /// The upstream refuses this one always, with 403.
    case stranger

    var value: String {
        switch self {
        case .first: CrashWrite.Key.first.rawValue
        case .second: CrashWrite.Key.second.rawValue
        case .revocable: CrashWrite.Key.revocable.rawValue
        case .watcher: "model-test-watcher-key"
        case .stranger: "model-test-stranger-key"
        }
    }

    static let writers: [ModelKey] = [.first, .second, .revocable]
}

/// Moments, in microseconds since 1970: the simulator's log is compared with them.
enum ModelTime {
    static func now() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1_000
    }
}

/// A write, and what its sender was told.
///
/// Values are `w` and its number.
struct ModelWrite: Sendable {
    static let fields = ["first_name", "last_name", "timestamp", "date"]

    var number: Int
    /// The place of the contact in the history's list.
    var contact: Int
    var isDelete = false
    /// Which of the fields a PUT sets.
    var sets = [Bool](repeating: false, count: ModelWrite.fields.count)
    var began: Int64
    var ended: Int64 = .max
    var outcome = CrashWrite.Outcome.unknown
}

/// What one reply said of one contact.
struct ModelReading: Sendable {
    enum Seen: Sendable, Equatable {
        /// The number of the write whose value each field has; `initial` where nobody's.
        case values([Int])
        /// 404 with code 1351, or not on a page that has room for it.
        case gone
    }

    static let initial = -1

    var key: ModelKey
    var contact: Int
    /// 0 for the contact's own resource, else the size of the page.
    var pageSize = 0
    var began: Int64
    var ended: Int64
    var seen: Seen
    /// Whether it said that it may be out of date.
    var isMarkedStale = false
    /// `Contact-Relay-Pending`.
    var pending = 0
    /// `Cache-Status`, for the report.
    var cacheStatus = ""
}

/// Everything that a model run is judged by.
struct ModelHistory: Sendable {
    /// The key that writes each contact.
    var owners: [ModelKey] = []
    /// Of one contact in the order in which they were made: each waited for the answer to the one before.
    var writes: [ModelWrite] = []
    var readings: [ModelReading] = []
    /// The states of the writes that have receipts, by receipt.
    var states: [String: String] = [:]
    /// When a write first took effect at the upstream, by number.
    var applied: [Int: Int64] = [:]
    /// When the upstream answered a write last, by number.
    var lastAttempt: [Int: Int64] = [:]
    /// What each key was answered at the upstream, in order.
    var attempts: [ModelKey: [(at: Int64, status: Int)]] = [:]
    /// When a read of each key was answered 401, and when that read had begun.
    var refusals: [(key: ModelKey, began: Int64, ended: Int64)] = []
    /// What was wrong with a reply by itself.
    var findings: [String] = []
}

/// How often what has happened; a run in which nothing did would prove nothing.
struct ModelTally: Sendable, Codable, Equatable {
    var replies = 0
    var reads = 0
    var writes = 0
    var fresh = 0
    var stale = 0
    var fetched = 0
    var collapsed = 0
    var notModified = 0
    var pages = 0
    var withPending = 0
    var gone = 0
    var refused = 0
    var unserved = 0
    var upstreamErrors = 0
    var acknowledged = 0
    var delivered = 0
    var rejected = 0

    static func += (sum: inout Self, part: Self) {
        sum.replies += part.replies
        sum.reads += part.reads
        sum.writes += part.writes
        sum.fresh += part.fresh
        sum.stale += part.stale
        sum.fetched += part.fetched
        sum.collapsed += part.collapsed
        sum.notModified += part.notModified
        sum.pages += part.pages
        sum.withPending += part.withPending
        sum.gone += part.gone
        sum.refused += part.refused
        sum.unserved += part.unserved
        sum.upstreamErrors += part.upstreamErrors
        sum.acknowledged += part.acknowledged
        sum.delivered += part.delivered
        sum.rejected += part.rejected
    }
}
