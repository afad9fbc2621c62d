import DexatelAPI

/// The values that the members of a contact take, found by name in the logarithm of their number.
///
/// Names are compared as bytes: Unicode's canonical equivalence would take two distinct members for one.
struct OverlayFields {
    /// One member and the value that it gets.
    struct Assignment {
        let name: [UInt8]
        /// A JSON value; nil clears: the member becomes null where the contact has it, and is not added.
        let value: [UInt8]?
    }

    private struct Field {
        let name: [UInt8]
        let value: [UInt8]?
        /// The place of the first assignment that does not clear: the order in which new members are added.
        let position: Int?
    }

    private static let null = Array("null".utf8)

    /// Each name once, in the order of `isOrdered`.
    private var fields: [Field] = []

    /// Takes assignments in their order: of several to one name the last holds.
    init(_ assignments: [Assignment]) {
        let sorted = assignments.indices.sorted { one, other in
            let (left, right) = (assignments[one].name, assignments[other].name)
            return left == right ? one < other : Self.isOrdered(left, right)
        }
        fields.reserveCapacity(sorted.count)
        for index in sorted {
            let assignment = assignments[index]
            var position = assignment.value == nil ? nil : index
            if let last = fields.last, last.name == assignment.name {
                position = last.position ?? position
                fields.removeLast()
            }
            fields.append(Field(name: assignment.name, value: assignment.value, position: position))
        }
    }

    /// Writes the values over those of the contact, in their places, and adds the members that it does not have.
    func apply(to contact: ContactObject, in splice: inout BodySplice) {
        guard !fields.isEmpty else { return }
        var isThere = [Bool](repeating: false, count: fields.count)
        for index in 0..<contact.memberCount {
            guard let found = contact.withName(at: index, { self.index(of: $0) }) else { continue }
            isThere[found] = true
            splice.replace(contact.value(at: index), with: fields[found].value ?? Self.null)
        }
        var needsComma = contact.memberCount > 0
        for field in fieldsToAdd(isThere) {
            var member: [UInt8] = needsComma ? [UInt8(ascii: ",")] : []
            JSONText.appendQuoted(String(decoding: field.name, as: UTF8.self), to: &member)
            member.append(UInt8(ascii: ":"))
            member += field.value
            splice.insert(member, at: contact.endOfMembers)
            needsComma = true
        }
    }

    /// The fields that the contact does not have and that are not cleared, in the order of the writes.
    private func fieldsToAdd(_ isThere: [Bool]) -> [(position: Int, name: [UInt8], value: [UInt8])] {
        fields.indices.compactMap { index in
            let field = fields[index]
            guard !isThere[index], let value = field.value, let position = field.position else { return nil }
            return (position, field.name, value)
        }.sorted { $0.position < $1.position }
    }

    private func index(of name: UnsafeRawBufferPointer) -> Int? {
        var bounds = 0..<fields.count
        while !bounds.isEmpty {
            let middle = bounds.lowerBound + bounds.count / 2
            let candidate = fields[middle].name
            if candidate.elementsEqual(name) { return middle }
            bounds =
                Self.isOrdered(candidate, name) ? middle + 1..<bounds.upperBound : bounds.lowerBound..<middle
        }
        return nil
    }

    /// Some total order of names: the shorter first.
    private static func isOrdered(_ one: some Collection<UInt8>, _ other: some Collection<UInt8>) -> Bool {
        one.count == other.count ? one.lexicographicallyPrecedes(other) : one.count < other.count
    }
}

extension OverlayFields.Assignment {
    /// A field of a write; nil for the identifiers of the path, which no body can change.
    ///
    /// The reply to the write that the relay itself gives (202) leaves them out in the same way.
    init?(written field: PendingChange.Field) {
        guard field.name != "id", field.name != "audience_id" else { return nil }
        self.init(name: Array(field.name.utf8), value: field.value)
    }
}
