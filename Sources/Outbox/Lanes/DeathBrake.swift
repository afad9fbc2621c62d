import DequeModule

/// Who has paused deliveries; kept over restarts by its number.
package enum DeliveryPause: Int64, Sendable, Equatable {
    /// Nobody.
    case none = 0
    /// An operator.
    case `operator` = 1
    /// The brake: more acknowledged writes than `writes.max_deaths_per_minute` would have become dead letters.
    case deaths = 2
}

/// Counts the acknowledged writes that become dead letters, whatever the reason, and stops that where there are too many in a
/// minute: then something is wrong that a person has to look at.
///
/// What is beyond the limit stays pending. The brake stays on until an operator has deliveries go on.
struct DeathBrake: Sendable {
    /// The time within which deaths are counted.
    private static let windowMilliseconds: Int64 = 60_000

    private(set) var isOn: Bool
    /// Whether it has been put on and deliveries do not pause yet.
    private(set) var isNews = false
    /// Deaths by the second, the oldest first.
    private var seconds: Deque<(second: Int64, count: Int)> = []
    private var count = 0

    /// - Parameter isOn: Whether it was on when the daemon ended.
    init(isOn: Bool = false) { self.isOn = isOn }

    /// Takes writes that are to die.
    ///
    /// - Returns: How many of them may; with fewer than all of them the brake is on.
    mutating func take(_ wanted: Int, limit: Int, now: RelayTime) -> Int {
        guard !isOn, wanted > 0 else { return 0 }
        while let first = seconds.first, first.second * 1_000 + Self.windowMilliseconds <= now.milliseconds {
            seconds.removeFirst()
            count -= first.count
        }
        let allowed = min(wanted, max(limit - count, 0))
        if allowed < wanted { (isOn, isNews) = (true, true) }
        guard allowed > 0 else { return 0 }
        count += allowed
        let second = now.milliseconds / 1_000
        if let last = seconds.last, last.second >= second {
            seconds[seconds.count - 1].count += allowed
        } else {
            seconds.append((second, allowed))
        }
        return allowed
    }

    /// Whether it has been put on since the last time.
    mutating func takeNews() -> Bool {
        defer { isNews = false }
        return isNews
    }

    /// An operator has deliveries go on: counting begins anew.
    mutating func release() { self = DeathBrake() }
}
