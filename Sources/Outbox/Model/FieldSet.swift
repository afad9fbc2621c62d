package import DexatelAPI
import Foundation
import NIOCore

/// The names of the members of `data` that a write sets: what decides which write covers which (design §3.4), and which
/// of its fields were set again since (§3.3).
///
/// Small enough for each pending write to have one in memory: a set that is not is no set, and takes part in nothing.
package struct FieldSet: Hashable, Sendable {
    /// Members other than the known fields at most (P8).
    static let maxOthers = 16
    /// Bytes of their names at most (P8).
    static let maxOtherBytes = 512

    /// A bit for each case of `ContactField`; stored.
    let known: UInt8
    /// The other names, sorted, none twice.
    let others: [String]

    /// The set that sets nothing.
    package static let empty = FieldSet(known: 0, others: [])

    private init(known: UInt8, others: [String]) {
        self.known = known
        self.others = others
    }

    /// The set with these names; nil when there are too many others, or one that is not ASCII: strings are equal where
    /// JSON's names need not be.
    package init?(names: some Sequence<String>) {
        var known: UInt8 = 0
        var others: [String] = []
        for name in names {
            if let bit = Self.bit(of: name) {
                known |= bit
            } else {
                guard name.utf8.allSatisfy({ $0 < 0x80 }) else { return nil }
                others.append(name)
            }
        }
        if others.count > 1 { others = Array(Set(others)).sorted() }
        guard others.count <= Self.maxOthers, others.reduce(0, { $0 + $1.utf8.count }) <= Self.maxOtherBytes else {
            return nil
        }
        self.init(known: known, others: others)
    }

    /// What an Update sets; nil when nobody can say, as members beside `data` are the upstream's business alone, or
    /// when there are too many names.
    package init?(_ update: ContactUpdate) {
        guard !update.hasOtherMembers else { return nil }
        self.init(names: update.members.lazy.map(\.name))
    }

    /// What a write sets that was checked before; nil when nobody can say.
    init?(method: WriteMethod, payload: WritePayload) {
        guard !payload.target.utf8.contains(UInt8(ascii: "?")) else { return nil }
        guard method == .put, payload.body.readableBytes > 0 else {
            self = .empty
            return
        }
        guard let update = payload.checkedUpdate else { return nil }
        self.init(update)
    }

    /// The names, known ones first.
    package var names: [String] {
        ContactField.allCases.map(\.rawValue).filter { known & (Self.bit(of: $0) ?? 0) != 0 } + others
    }

    package var isEmpty: Bool { known == 0 && others.isEmpty }

    func isSuperset(of other: FieldSet) -> Bool {
        guard other.known & ~known == 0 else { return false }
        return other.others.isEmpty || other.others.allSatisfy(others.contains)
    }

    /// Both together; nil when that is too large.
    func union(_ other: FieldSet) -> FieldSet? {
        if others.isEmpty, other.others.isEmpty { return FieldSet(known: known | other.known, others: []) }
        return FieldSet(names: names + other.names)
    }

    private static func bit(of name: String) -> UInt8? {
        switch ContactField(rawValue: name) {
        case .firstName: 1
        case .lastName: 2
        case .timestamp: 4
        case .date: 8
        case nil: nil
        }
    }

    // MARK: - As it is stored

    /// The other names as a JSON array; nil when there are none.
    var othersText: String? {
        guard !others.isEmpty, let data = try? JSONEncoder().encode(others) else { return nil }
        return String(decoding: data, as: UTF8.self)
    }

    /// Reads what `known` and `othersText` gave; nil for anything else, which then takes part in nothing.
    init?(storedKnown: Int64?, othersText: String?) {
        guard let storedKnown, let known = UInt8(exactly: storedKnown) else { return nil }
        guard let othersText else {
            self.init(known: known, others: [])
            return
        }
        guard let names = try? JSONDecoder().decode([String].self, from: Data(othersText.utf8)) else { return nil }
        self.init(known: known, others: names)
    }
}
