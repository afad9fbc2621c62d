import DexatelAPI
import NIOCore
import NIOHTTP1
import ResponseCache

/// A reply with writes laid over it, and what its headers say of that (design §5.4).
enum OverlayRendering {
    /// Nothing concerns the reply.
    case unchanged
    /// This is to be shown.
    case made(StoredResponse)
    /// There is no reply to lay so many writes over.
    case noBase(pendingCount: Int)
    /// What is pending could not be read.
    case unknown

    static let pendingField = "Contact-Relay-Pending"
    static let overlayField = "Contact-Relay-Overlay"

    /// - Parameters:
    ///   - changes: By contact.
    ///   - clock: For the error of a contact that is deleted.
    ///   - isComplete: Whether nothing that changes the reply was left out.
    init(
        _ subject: ReadRequest.Subject,
        over base: StoredResponse?,
        _ changes: [UInt128: [PendingChange]],
        _ semantics: PutSemantics,
        _ clock: ReadClock,
        isComplete: Bool = true
    ) {
        switch subject {
        case .contact(let contact):
            let changes = changes[contact.contact] ?? []
            self = Self.contact(contact, over: base, changes, semantics, clock, isComplete)
        case .contactList:
            self = base.map { Self.list(over: $0, changes, semantics) } ?? .unchanged
        case .other:
            self = .unchanged
        }
    }

    /// The contacts that a reply is about.
    static func contacts(_ subject: ReadRequest.Subject, in base: StoredResponse?) -> [ContactReference] {
        switch subject {
        case .contact(let contact): return [contact]
        case .contactList(let audience):
            var contacts: [ContactReference] = []
            let isList = base?.identityBody?.withUnsafeReadableBytes { body in
                ContactDocument.forEachItem(of: body) { item in
                    if let id = item.id { contacts.append(ContactReference(audience: audience, contact: id)) }
                }
            }
            return isList == true ? contacts : []
        case .other: return []
        }
    }

    static func contact(
        _ contact: ContactReference,
        over base: StoredResponse?,
        _ changes: [PendingChange],
        _ semantics: PutSemantics,
        _ clock: ReadClock,
        _ isComplete: Bool
    ) -> OverlayRendering {
        // An error is no contact; only that the contact is being deleted says more than it.
        let body = base.flatMap { $0.status == 200 ? $0.identityBody : nil }
        let result = Self.withBytes(body) {
            ContactOverlay.render(base: $0, contact: contact, changes: changes, semantics: semantics)
        }
        switch result {
        case .unchanged: return .unchanged
        case .noBase(let count):
            guard let base else { return .noBase(pendingCount: count) }
            // Compressed in spite of what was asked: it goes out as it is, and says so.
            if base.status == 200 { return changes.isEmpty ? .unchanged : .made(base.markedPartial()) }
            // So does an error that pending writes do not change.
            return count > 0 ? .made(base.markedPartial(pendingCount: count)) : .unchanged
        case .notApplicable:
            return base.map { .made($0.markedPartial()) } ?? .unchanged
        case .replaced(let bytes, let count, let isPartial):
            guard let base else { return .unchanged }
            return .made(base.overlaid(bytes, count, isPartial: isPartial || !isComplete))
        case .deleted(let count):
            let gone = base ?? .unstored(.nothing(clock), body: ByteBuffer())
            return .made(gone.deleted(contact, count, clock.unixSeconds()))
        }
    }

    private static func list(
        over base: StoredResponse,
        _ changes: [UInt128: [PendingChange]],
        _ semantics: PutSemantics
    ) -> OverlayRendering {
        guard base.status == 200 else { return .unchanged }
        guard let body = base.identityBody else { return .made(base.markedPartial()) }
        let result = body.withUnsafeReadableBytes {
            ContactListOverlay.render(base: $0, changes: changes, semantics: semantics)
        }
        switch result {
        case .unchanged: return .unchanged
        case .notApplicable: return .made(base.markedPartial())
        // Totals and searches are as the upstream last knew them.
        case .replaced(let bytes, let count):
            return .made(base.overlaid(bytes, count, isPartial: true))
        }
    }

    private static func withBytes<Result>(
        _ body: ByteBuffer?,
        _ use: (UnsafeRawBufferPointer?) -> Result
    ) -> Result {
        body.map { $0.withUnsafeReadableBytes { use($0) } } ?? use(nil)
    }
}

extension ReplyHead {
    /// Nothing at all: what a contact is deleted from that was never read.
    fileprivate static func nothing(_ clock: ReadClock) -> ReplyHead {
        ReplyHead(
            status: 404,
            headers: [:],
            times: clock.times(askedAtMilliseconds: clock.milliseconds())
        )
    }
}

extension StoredResponse {
    /// The base with another body, and the relay's own entity tag.
    fileprivate func overlaid(_ bytes: [UInt8], _ pendingCount: Int, isPartial: Bool) -> StoredResponse {
        with(
            body: ByteBuffer(bytes: bytes),
            fields: [("ETag", OverlayETag.text(for: bytes))] + Self.marks(pendingCount, isPartial: isPartial)
        )
    }

    /// The base with delivered writes worked in; nil where it must not stand any longer.
    func workingIn(
        _ changes: [PendingChange],
        of contact: ContactReference,
        upTo milliseconds: Int64,
        _ semantics: PutSemantics
    ) -> StoredResponse? {
        // What was updated is there, whatever was said before; what was deleted is still not there.
        guard status == 200 else {
            return changes.last?.effect == .delete ? holding(deliveriesUpTo: milliseconds) : nil
        }
        // Compressed: it lacks the writes, and says so as long as they are remembered.
        guard let identityBody else { return self }
        let result = identityBody.withUnsafeReadableBytes {
            ContactOverlay.render(base: $0, contact: contact, changes: changes, semantics: semantics)
        }
        return switch result {
        case .replaced(let bytes, let count, let isPartial):
            overlaid(bytes, count, isPartial: isPartial).holding(deliveriesUpTo: milliseconds)
        case .unchanged: holding(deliveriesUpTo: milliseconds)
        case .notApplicable: self
        case .deleted, .noBase: nil
        }
    }

    /// The base itself, with a word on what it may not show.
    fileprivate func markedPartial(pendingCount: Int = 0) -> StoredResponse {
        let validators = fields.filter { ["etag", "last-modified"].contains($0.name.lowercased()) }
        return with(body: body, fields: validators + Self.marks(pendingCount, isPartial: true))
    }

    private static func marks(_ pendingCount: Int, isPartial: Bool) -> [(name: String, value: String)] {
        var fields: [(name: String, value: String)] = []
        if pendingCount > 0 { fields.append((OverlayRendering.pendingField, String(pendingCount))) }
        if isPartial { fields.append((OverlayRendering.overlayField, "partial")) }
        return fields
    }

    /// What the upstream will say of the contact once the DELETE is delivered: 404 with its code 1351.
    fileprivate func deleted(_ contact: ContactReference, _ pendingCount: Int, _ unixSeconds: Int64) -> StoredResponse {
        let code = DexatelErrorCode.contactNotFound
        let body = DexatelErrorBody(
            timestamp: DexatelTimestamp.text(secondsSinceEpoch: unixSeconds),
            path: contact.path,
            method: "GET",
            status: code.status,
            message: code.message,
            code: code.rawValue
        ).rendered()
        // The same for as long as the contact is being deleted, though the error says each time when it was made.
        let tag = OverlayETag.weakText(for: Array("\(code.rawValue) \(contact.path)".utf8))
        return with(
            body: ByteBuffer(bytes: body),
            status: code.status,
            fields: [
                ("Content-Type", "application/json"), ("Contact-Relay-Error", "contact_deleted"),
                ("ETag", tag),
            ] + Self.marks(pendingCount, isPartial: false)
        )
    }
}
