import DexatelAPI
import ResponseCache
import TestSupport

/// A contact as text that was put together from pieces, so that what an overlay must make of it is known to the byte.
struct ModelContact {
    private struct Member {
        let name: String
        /// All that comes before the value.
        let head: String
        /// nil if the member was added and then cleared.
        var value: String?
        let tail: String
    }

    private static let names =
        ["id", "account_id", "number", "tags", "update_date", "links", "x"]
        + ["first_name", "last_name", "timestamp", "date", "custom1", "custom2"]
    private static let updatable = [["first_name"], ["last_name"], ["timestamp", "custom1"], ["date", "custom2"]]

    private var members: [Member] = []
    private let inside: String
    private let baseCount: Int

    init(id: UInt128, using random: inout SeededGenerator) {
        var names = Self.names.shuffled(using: &random).prefix(Int.random(in: 0...Self.names.count, using: &random))
        if random.chance(oneIn: 2) {
            names = names.filter { $0 != "id" } + ["id"]
            names.swapAt(names.startIndex, names.endIndex - 1)
        }
        for name in names {
            let uuid = UUIDText.text(id)
            let head = random.space() + random.quoted(name) + random.space() + ":" + random.space()
            let value =
                name == "id" ? random.quoted(random.chance(oneIn: 2) ? uuid : uuid.uppercased()) : random.value()
            members.append(Member(name: name, head: head, value: value, tail: random.space()))
        }
        inside = random.space()
        baseCount = members.count
    }

    /// Whether a list shows whose contact this is.
    var isIdentified: Bool { members.contains { $0.name == "id" } }

    /// The members that an overlay adds come right behind the last value of the base.
    var text: String {
        let base = members.prefix(baseCount).map { ($0.head + ($0.value ?? "null"), $0.tail) }
        let added = members.dropFirst(baseCount).compactMap { member in member.value.map { member.head + $0 } }
        guard let last = base.last else { return "{" + added.joined(separator: ",") + inside + "}" }
        let front = base.dropLast().map { $0.0 + $0.1 } + [last.0] + added
        return "{" + front.joined(separator: ",") + last.1 + "}"
    }

    /// Applies one update after the other.
    mutating func apply(_ fields: [(name: String, value: String)], _ semantics: PutSemantics) {
        for field in fields where field.name != "id" && field.name != "audience_id" {
            set(field.name, field.value)
        }
        guard semantics == .replace else { return }
        for names in Self.updatable where !fields.contains(where: { names.contains($0.name) }) {
            for name in names {
                guard let index = members.firstIndex(where: { $0.name == name }) else { continue }
                members[index].value = index < baseCount ? "null" : nil
            }
        }
    }

    private mutating func set(_ name: String, _ value: String) {
        if let index = members.firstIndex(where: { $0.name == name }) {
            members[index].value = value
        } else {
            members.append(Member(name: name, head: "\"\(name)\":", value: value, tail: ""))
        }
    }

    /// The fields of a random update and the JSON object that says them.
    static func randomUpdate(
        using random: inout SeededGenerator
    ) -> (fields: [(name: String, value: String)], text: String) {
        let names = (Self.names + ["audience_id", "extra"]).shuffled(using: &random)
        let known = ["first_name", "last_name", "timestamp", "date"]
        var fields: [(name: String, value: String)] = []
        for name in names.prefix(Int.random(in: 0...5, using: &random)) {
            fields.append(
                (name, known.contains(name) ? random.pick(["null", "\"v\"", "\"\\u0076\""]) : random.value())
            )
        }
        let members = fields.map {
            random.space() + random.quoted($0.name) + random.space() + ":" + random.space() + $0.value + random.space()
        }
        return (fields, "{" + members.joined(separator: ",") + "}")
    }
}
