import Foundation

/// What was delivered to a contact that has writes out of order (held, dead, or let go again), by the last sequence
/// that did it: what the replay rule goes by (design §3.3), whether or not receipts are still kept.
///
/// One record for each such contact, so that recording a delivery costs the same however many of its writes are dead.
struct ContactOrder: Sendable, Equatable {
    /// Names that are told apart at most; past it a delivery counts as one of the whole contact (P8).
    static let maxFields = 64

    /// The last delivery of any kind.
    var last: Int64 = 0
    /// The last delivery after which nothing of an earlier write is left, or nobody knows what: a DELETE, or an Update
    /// whose fields are not known.
    var whole: Int64 = 0
    /// The last delivery that set each field.
    var fields: [String: Int64] = [:]

    /// A write was delivered.
    mutating func delivered(_ sequence: Int64, _ method: WriteMethod, _ set: FieldSet?) {
        last = max(last, sequence)
        guard method == .put, let set else {
            whole = max(whole, sequence)
            return
        }
        for name in set.names {
            let name = Self.canonical(name)
            guard fields[name] != nil || fields.count < Self.maxFields else {
                whole = max(whole, sequence)
                return
            }
            fields[name] = max(fields[name] ?? 0, sequence)
        }
    }

    /// Whether a field was set by a delivery of a write after this one.
    func wasSet(_ name: String, after sequence: Int64) -> Bool { lastSet(name) > sequence }

    /// The last delivery that set a field.
    func lastSet(_ name: String) -> Int64 { fields[Self.canonical(name)] ?? 0 }

    /// The reference has had two names for these; a write that uses the other must not put an old value back.
    private static func canonical(_ name: String) -> String {
        switch name {
        case "custom1": "timestamp"
        case "custom2": "date"
        default: name
        }
    }

    // MARK: - As it is stored

    /// The fields as a JSON object of sequences.
    var fieldsText: String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        guard let data = try? encoder.encode(fields) else { return "{}" }
        return String(decoding: data, as: UTF8.self)
    }

    init() {}

    init(last: Int64, whole: Int64, fieldsText: String) {
        self.last = last
        self.whole = whole
        guard let fields = try? JSONDecoder().decode([String: Int64].self, from: Data(fieldsText.utf8)) else {
            // Nobody can say what it was: nothing later is known not to have been delivered.
            self.whole = max(whole, last)
            return
        }
        self.fields = fields
    }
}
