import DexatelAPI

/// What all changes to one contact come to, applied in the order of commit.
struct FoldedChanges {
    /// Whether the contact is gone once the changes are delivered.
    let isDeleted: Bool
    /// The number of changes that are in `fields` or `isDeleted` and are not delivered.
    let pendingCount: Int
    /// Whether the upstream may show other fields differently: the reading of PUT is unknown and there is one.
    let isPartial: Bool
    /// The fields that the changes set.
    let fields: OverlayFields

    /// Folds the changes, given in any order.
    ///
    /// A PUT behind a DELETE brings nothing back: Update does not create, the upstream will refuse it with 1351, and
    /// so the contact reads as gone. Unless that PUT was delivered: then the contact is there, and a DELETE before it
    /// that is still pending was held and overtaken (design §3.3); it is not shown.
    init(_ changes: [PendingChange], semantics: PutSemantics) {
        var isDeleted = false
        var updates: [(fields: [PendingChange.Field], isDelivered: Bool)] = []
        for change in changes.sorted(by: { $0.sequence < $1.sequence }) {
            switch change.effect {
            case .delete:
                isDeleted = true
            case .update(let fields):
                updates.append((fields, change.isDelivered))
                if change.isDelivered { isDeleted = false }
            }
        }
        self.isDeleted = isDeleted
        if isDeleted {
            pendingCount = changes.count { !$0.isDelivered }
            isPartial = false
            fields = OverlayFields([])
        } else {
            pendingCount = updates.count { !$0.isDelivered }
            isPartial = semantics == .unknown && !updates.isEmpty
            var assignments: [OverlayFields.Assignment] = []
            for update in updates {
                assignments += update.fields.compactMap(OverlayFields.Assignment.init(written:))
                if semantics == .replace { assignments += Self.clearing(fieldsLeftOutOf: update.fields) }
            }
            fields = OverlayFields(assignments)
        }
    }

    /// The fields that Update is known to set, those that newer references have renamed beside their old names.
    private static let updatableFields = [
        ["first_name"], ["last_name"], ["timestamp", "custom1"], ["date", "custom2"],
    ]

    /// Clears what a replacing PUT leaves out.
    ///
    /// Only the fields that Update documents: `number` and the identifiers are what the contact is, and of a member
    /// that the reference does not know nobody can tell whether a PUT that leaves it out reaches it at all; it stays
    /// as the changes before left it. A field that is set under one of its two names is not left out, so the other
    /// name is let be.
    private static func clearing(fieldsLeftOutOf fields: [PendingChange.Field]) -> [OverlayFields.Assignment] {
        updatableFields.flatMap { names in
            fields.contains { names.contains($0.name) }
                ? [] : names.map { OverlayFields.Assignment(name: Array($0.utf8), value: nil) }
        }
    }
}
