/// The numbers that an integer column may hold, by its name.
///
/// The file is input: a number outside its range is damage, found where it is read. Inside their ranges numbers can be added up
/// and subtracted without an overflow, a thousand of them at a time.
enum ColumnRange {
    /// What a column holds.
    enum Kind: CaseIterable {
        case count, balance, sequence, keyRow, clock, wallClock, flag, pause, fieldBits, status
        /// Random, or checked by the type that reads it.
        case any
    }

    private static let most: Int64 = 1 << 53

    static func range(_ kind: Kind) -> ClosedRange<Int64> {
        switch kind {
        case .count: 0...most
        // Below 0 once books were wrong that cannot be checked in time.
        case .balance: -most...most
        case .clock, .wallClock: 0...most
        case .sequence, .keyRow: 0...most
        case .flag: 0...1
        case .pause: DeliveryPause.none.rawValue...DeliveryPause.deaths.rawValue
        case .fieldBits: 0...255
        case .status: 0...999
        case .any: Int64.min...Int64.max
        }
    }

    /// The range of a column; a name that is not known has that of `balance`.
    static func of(_ column: String) -> ClosedRange<Int64> { ranges[column] ?? range(.balance) }

    private static let ranges = kinds.mapValues(range)

    /// Every integer column of the schema.
    static let kinds: [String: Kind] = [
        "one": .flag, "version": .count, "oldest_reader": .count,
        "accepted": .count, "pending": .count, "held": .count, "delivered": .count, "rejected": .count,
        "superseded": .count, "dead": .count, "discarded": .count, "damaged": .count, "stored_bytes": .count,
        "receipts": .balance,
        "attempts": .count, "tell_attempts": .count, "entries": .count, "number": .count,
        "sequence": .sequence, "next_sequence": .sequence, "superseded_by": .sequence, "last": .sequence,
        "whole": .sequence,
        "row": .keyRow, "api_key": .keyRow, "successor": .keyRow,
        "clock_relay": .clock, "accepted_clock": .clock, "next_attempt_clock": .clock, "not_found_clock": .clock,
        "ended_clock": .clock, "tell_clock": .clock, "idle_since": .clock,
        "clock_wall": .wallClock, "accepted_at": .wallClock, "ended_at": .wallClock, "created_at": .wallClock,
        "verified_at": .wallClock, "refused_at": .wallClock, "held_at": .wallClock, "stopped_at": .wallClock,
        "told_at": .wallClock, "found_at": .wallClock,
        "is_paused": .pause, "is_ambiguous": .flag, "outage": .flag, "is_stopped": .flag,
        "fields": .fieldBits, "response_status": .status,
        "nonce": .any, "checksum": .any, "turn": .any, "method": .any, "hold": .any, "replay": .any, "state": .any,
    ]
}
