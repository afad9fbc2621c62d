import DequeModule
import HeapModule

/// Which key's lanes are looked for next in the database: those of keys that may have something ready, in turns.
///
/// It is also what the commit thread knows of keys that must not be used just now: paused by a 429, or held on a 401. By
/// the rows of the keys that writes are sent with.
struct KeyTurns: Sendable {
    /// A key that the upstream has refused with 401: one write at a time probes it.
    struct Held: Sendable, Equatable {
        /// When the next probe may be sent.
        var probeAt: RelayTime
        /// The write that probes it just now.
        var probe: Int64?
    }

    /// A look for lanes of a key.
    struct Look: Sendable, Equatable {
        var keyRow: Int64
        /// One write alone is to be found, whatever it waits for.
        var isProbe: Bool
    }

    private struct Alarm: Comparable, Sendable {
        var at: RelayTime
        var keyRow: Int64

        static func < (left: Self, right: Self) -> Bool { (left.at, left.keyRow) < (right.at, right.keyRow) }
    }

    private var ready: Deque<Int64> = []
    private var isReady: Set<Int64> = []
    private var alarms = Heap<Alarm>()
    /// The alarm of each key that counts; any other is left over.
    private var alarmAt: [Int64: RelayTime] = [:]
    private var pauses: [Int64: RelayTime] = [:]
    private var pausesInARow: [Int64: Int64] = [:]
    private(set) var held: [Int64: Held] = [:]

    /// Whether the database has nothing ready, as far as is known.
    var isIdle: Bool { ready.isEmpty }
    /// Keys that may have something ready.
    var readyCount: Int { ready.count }
    /// When a key may have something ready that has nothing now.
    var nextAlarm: RelayTime? { alarms.min?.at }

    // MARK: - What is ready

    /// A lane of the key is ready at that time.
    mutating func note(_ keyRow: Int64, at time: RelayTime, now: RelayTime) {
        guard !isReady.contains(keyRow) else { return }
        if time <= now { return makeReady(keyRow) }
        if let known = alarmAt[keyRow], known <= time { return }
        alarmAt[keyRow] = time
        alarms.insert(Alarm(at: time, keyRow: keyRow))
    }

    private mutating func makeReady(_ keyRow: Int64) {
        if isReady.insert(keyRow).inserted { ready.append(keyRow) }
    }

    private mutating func drop(_ keyRow: Int64, until time: RelayTime?, now: RelayTime) {
        if isReady.remove(keyRow) != nil {
            // The key that was just looked at stands at an end.
            if ready.first == keyRow {
                ready.removeFirst()
            } else if ready.last == keyRow {
                ready.removeLast()
            } else {
                ready.removeAll { $0 == keyRow }
            }
        }
        if let time { note(keyRow, at: max(time, now + 1), now: now) }
    }

    /// The key whose turn it is; `looked` follows.
    mutating func next(_ now: RelayTime) -> Look? {
        while let alarm = alarms.min, alarm.at <= now {
            alarms.removeMin()
            guard alarmAt[alarm.keyRow] == alarm.at else { continue }
            alarmAt[alarm.keyRow] = nil
            makeReady(alarm.keyRow)
        }
        while let keyRow = ready.first {
            if let pause = pauses[keyRow] {
                guard pause <= now else {
                    drop(keyRow, until: pause, now: now)
                    continue
                }
                pauses[keyRow] = nil
            }
            if let key = held[keyRow] {
                guard key.probe == nil, key.probeAt <= now else {
                    drop(keyRow, until: key.probe == nil ? key.probeAt : nil, now: now)
                    continue
                }
                return Look(keyRow: keyRow, isProbe: true)
            }
            ready.removeFirst()
            ready.append(keyRow)
            return Look(keyRow: keyRow, isProbe: false)
        }
        return nil
    }

    /// What a look has found.
    ///
    /// - Parameters:
    ///   - isExhausted: Whether nothing more is ready.
    ///   - nextTurn: When the next lane of the key will be.
    mutating func looked(_ look: Look, probe: Int64?, isExhausted: Bool, nextTurn: RelayTime?, now: RelayTime) {
        if look.isProbe {
            held[look.keyRow]?.probe = probe
            // Without a write to probe with, the next new one does, or one that is free later.
            drop(look.keyRow, until: probe == nil ? now + Self.noProbeMilliseconds : nil, now: now)
        } else if isExhausted {
            drop(look.keyRow, until: nextTurn, now: now)
        }
    }

    /// How long after no write was found to probe a key with the next look follows.
    private static let noProbeMilliseconds: Int64 = 1_000

    // MARK: - Pauses

    /// Until when the upstream wants a key to be left alone (429).
    func pausedUntil(_ keyRow: Int64, now: RelayTime) -> RelayTime? { pauses[keyRow].flatMap { $0 > now ? $0 : nil } }

    /// The upstream wants a key to be left alone.
    ///
    /// - Parameter backoffMilliseconds: The delay for so many 429s in a row; for one that does not say how long.
    /// - Returns: Until when, never sooner than another 429 has asked already.
    mutating func pause(
        _ keyRow: Int64,
        asked: Int64?,
        now: RelayTime,
        backoffMilliseconds: (Int64) -> Int64
    ) -> RelayTime {
        // Those that were under way together count as one.
        if pausedUntil(keyRow, now: now) == nil { pausesInARow[keyRow, default: 0] += 1 }
        let until = now + (asked ?? backoffMilliseconds(pausesInARow[keyRow] ?? 1))
        let longest = max(until, pauses[keyRow] ?? now)
        pauses[keyRow] = longest
        return longest
    }

    /// The upstream has answered a write of the key otherwise.
    mutating func endPausesInARow(_ keyRow: Int64) { pausesInARow[keyRow] = nil }

    /// Ends all pauses, on an operator's word.
    mutating func endPauses(now: RelayTime) {
        for keyRow in pauses.keys { note(keyRow, at: now, now: now) }
        pauses = [:]
    }

    // MARK: - Holds

    func isHeld(_ keyRow: Int64) -> Bool { held[keyRow] != nil }

    /// The upstream refuses a key; it is probed from then on.
    mutating func hold(_ keyRow: Int64, probeAt: RelayTime, now: RelayTime) {
        held[keyRow] = Held(probeAt: probeAt)
        drop(keyRow, until: probeAt, now: now)
    }

    /// A probe has ended, and has not shown that the key is taken.
    mutating func probeEnded(_ sequence: Int64, of keyRow: Int64, probeAt: RelayTime, now: RelayTime) {
        guard held[keyRow]?.probe == sequence else { return }
        held[keyRow] = Held(probeAt: probeAt)
        note(keyRow, at: probeAt, now: now)
    }

    /// A write that was to probe a key will not be sent.
    mutating func probeWithdrawn(_ sequence: Int64, of keyRow: Int64, now: RelayTime) {
        guard let key = held[keyRow], key.probe == sequence else { return }
        held[keyRow]?.probe = nil
        note(keyRow, at: key.probeAt, now: now)
    }

    /// The key is not held any more, whatever brought that about.
    mutating func release(_ keyRow: Int64, now: RelayTime) {
        guard held.removeValue(forKey: keyRow) != nil else { return }
        makeReady(keyRow)
    }

    /// Another key has taken the place of this one.
    mutating func forget(_ keyRow: Int64, now: RelayTime) {
        (held[keyRow], pauses[keyRow], pausesInARow[keyRow], alarmAt[keyRow]) = (nil, nil, nil, nil)
        drop(keyRow, until: nil, now: now)
    }

    /// What must hold after each event; looked at in debug builds alone.
    func assertInvariants() {
        assert(ready.count == isReady.count && Set(ready) == isReady, "a key is ready twice, or forgotten")
        assert(alarmAt.count <= alarms.count, "a key has no alarm")
    }
}
