import DexatelAPI

/// The place of a lane in the order in which lanes are served: when it became ready, or when it will be.
///
/// A lane that is served and has more to send takes a new turn, behind all that were ready before. Turns are handed out
/// one by one, so that of two lanes one is always first. As a number a turn always takes eight bytes in a row of the
/// database: a row that is given another turn keeps its length, and is changed in place however long its body is.
struct LaneTurn: Hashable, Comparable, Sendable {
    /// What stands in the row of a write that has no turn.
    static let none: Int64 = -1 << 60

    private static let counterBits: Int64 = 16
    /// The latest moment that a turn can have.
    static let maxMilliseconds: Int64 = 1 << 44

    let number: Int64

    /// A turn as it is stored; nil for none.
    init?(number: Int64) {
        guard number > 0 else { return nil }
        self.number = number
    }

    /// The first turn of a moment.
    init(_ time: RelayTime) {
        number = min(max(time.milliseconds, 1), Self.maxMilliseconds) << Self.counterBits
    }

    /// The last turn that is due at a moment.
    static func due(_ now: RelayTime) -> LaneTurn {
        LaneTurn(number: LaneTurn(now).number | (1 << counterBits - 1)) ?? LaneTurn(now)
    }

    /// When the lane is ready.
    var time: RelayTime { RelayTime(milliseconds: number >> Self.counterBits) }

    static func < (left: Self, right: Self) -> Bool { left.number < right.number }

    /// Hands out turns, each behind all that it has handed out before.
    struct Counter: Sendable {
        private var last: Int64 = 0

        mutating func next(_ now: RelayTime) -> LaneTurn {
            let turn = LaneTurn(number: max(last + 1, LaneTurn(now).number)) ?? LaneTurn(now)
            last = turn.number
            return turn
        }
    }
}

/// The first write of a contact with one key, as the database has it: a lane has one of them for each key.
struct LaneHead: Sendable, Equatable {
    var contact: ContactReference
    /// The row of the key, as the write has it.
    var keyRow: Int64
    var sequence: Int64
    /// Nil when it waits for an earlier write of its contact.
    var turn: LaneTurn?
    /// Whether its wait ends when the upstream is there again.
    var endsWithOutage = false
}

/// What a transaction changes of a contact's lane: its first write, or when that may be sent.
struct LaneTouch: Sendable, Equatable {
    /// The turn of a first write that has none; nil for the next one.
    var turn: LaneTurn?
    /// The key of the write whose attempt has ended: the first write with it takes the turn, whichever it had.
    var served: Int64?
    /// Whether the served lane waits only for the upstream to be there.
    var endsWithOutage = false
}
