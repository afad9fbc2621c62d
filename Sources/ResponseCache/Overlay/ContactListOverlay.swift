package import DexatelAPI

/// Lays pending writes over the cached reply to a read of an audience's contacts (P5, design §5.4).
///
/// Each item gets its contact's changes, and items of deleted contacts go, each with one comma. `pagination` stays as
/// it was, and items neither enter nor leave for what a search would now find: whoever sends the result says that it
/// is partial.
package enum ContactListOverlay {
    /// What the reader gets to see.
    package enum Result: Sendable, Equatable {
        /// This body, which shows so many writes that the upstream does not have.
        case replaced(body: [UInt8], pendingCount: Int)
        /// The base as it is: no change concerns an item of it.
        case unchanged
        /// The base is not a list of contacts, so nothing can be laid over it; it goes out as it is, and is counted.
        case notApplicable
    }

    /// Renders the reply to a read of one page.
    ///
    /// - Parameters:
    ///   - base: The body of the upstream's 2xx reply, in identity coding.
    ///   - changes: The pending changes of the reader's own key (P4) to contacts of the audience, by the contact's
    ///     identifier, with those that were delivered after the page was fetched. What is not on the page costs
    ///     nothing.
    ///   - semantics: What the operator has said that a PUT does to the fields that it leaves out.
    package static func render(
        base: UnsafeRawBufferPointer,
        changes: [UInt128: [PendingChange]],
        semantics: PutSemantics
    ) -> Result {
        guard !changes.isEmpty else { return .unchanged }
        var splice = BodySplice(base)
        var removal = ItemRemoval()
        var shown: [UInt128: FoldedChanges] = [:]
        let isList = ContactDocument.forEachItem(of: base) { item in
            var folded: FoldedChanges?
            if let id = item.id, let changes = changes[id] {
                folded = shown[id] ?? FoldedChanges(changes, semantics: semantics)
                shown[id] = folded
            }
            if folded?.isDeleted == true {
                removal.remove(item.range)
            } else {
                removal.keep(item.range, in: &splice)
                folded?.fields.apply(to: item, in: &splice)
            }
        }
        guard isList else { return .notApplicable }
        removal.finish(in: &splice)
        let pendingCount = shown.values.reduce(0) { $0 + $1.pendingCount }
        if splice.isUntouched, pendingCount == 0 { return .unchanged }
        return .replaced(body: splice.finished(), pendingCount: pendingCount)
    }
}
