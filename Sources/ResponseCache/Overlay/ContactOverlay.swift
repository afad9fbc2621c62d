package import DexatelAPI

/// Lays pending writes over the cached reply to a read of one contact (P5, design §5.4).
///
/// Pending fields take the places of the base's values, new ones follow the last member; every other byte of the base
/// stays: the order of members, spacing, the spelling of numbers, `links` in `data` or beside it, and `update_date`,
/// which only the upstream can know.
package enum ContactOverlay {
    /// What the reader gets to see.
    package enum Result: Sendable, Equatable {
        /// This body, which shows so many writes that the upstream does not have; `isPartial` where other fields may
        /// turn out otherwise, because the reading of PUT is not known.
        case replaced(body: [UInt8], pendingCount: Int, isPartial: Bool)
        /// The contact is deleted, whatever the base says: 404 with the upstream's code 1351.
        case deleted(pendingCount: Int)
        /// The base as it is: no change says anything else.
        case unchanged
        /// There is nothing to lay the changes over; the values of so many writes alone do not make a contact.
        case noBase(pendingCount: Int)
        /// The base is not the contact, so nothing can be laid over it; it goes out as it is, and is counted.
        case notApplicable
    }

    /// Renders the reply to a read of `contact`.
    ///
    /// - Parameters:
    ///   - base: The body of the upstream's 2xx reply, in identity coding; nil where there is none. The caller does
    ///     not lay anything over errors, but for a 404, where `deleted` is right and all else leaves it alone.
    ///   - changes: The pending changes to this contact of the reader's own key (P4), in any order.
    ///   - semantics: What the operator has said that a PUT does to the fields that it leaves out.
    package static func render(
        base: UnsafeRawBufferPointer?,
        contact: ContactReference,
        changes: [PendingChange],
        semantics: PutSemantics
    ) -> Result {
        guard !changes.isEmpty else { return base == nil ? .noBase(pendingCount: 0) : .unchanged }
        let folded = FoldedChanges(changes, semantics: semantics)
        if folded.isDeleted { return .deleted(pendingCount: folded.pendingCount) }
        guard let base else { return .noBase(pendingCount: folded.pendingCount) }
        guard let object = ContactDocument.contact(in: base), object.id == nil || object.id == contact.contact else {
            return .notApplicable
        }
        var splice = BodySplice(base)
        folded.fields.apply(to: object, in: &splice)
        if splice.isUntouched, folded.pendingCount == 0 { return .unchanged }
        return .replaced(body: splice.finished(), pendingCount: folded.pendingCount, isPartial: folded.isPartial)
    }

    /// The base with the fields that the upstream's reply to a delivered write holds; nil if the reply says nothing.
    ///
    /// Nil too where base or reply is not a contact in `{"data":{…}}`, or they are two different contacts. The
    /// validators and digests that came with the base do not fit the result.
    package static func applyReply(base: UnsafeRawBufferPointer, reply: UnsafeRawBufferPointer) -> [UInt8]? {
        guard let answered = ContactDocument.contact(in: reply), let known = ContactDocument.contact(in: base) else {
            return nil
        }
        if let one = answered.id, let other = known.id, one != other { return nil }
        let assignments = (0..<answered.memberCount).map { index in
            OverlayFields.Assignment(
                name: answered.withName(at: index) { Array($0) },
                value: Array(reply[answered.value(at: index)])
            )
        }
        var splice = BodySplice(base)
        OverlayFields(assignments).apply(to: known, in: &splice)
        return splice.finished()
    }
}
