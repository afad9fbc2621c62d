/// What a request target names, as far as the outbox and the reserved paths are concerned (design §2.1, §3.1).
///
/// A contact has exactly one admitted spelling (but for the case of its hexadecimal digits): everything else that
/// some server between here and the contact could read as that contact is told apart, so that there is neither a
/// second lane nor a way round the queue.
package enum RequestTarget: Equatable, Sendable {
    /// One contact, canonically written.
    case contact(ContactReference)
    /// The shape of a contact's path with an identifier that is not a UUID (error 1352).
    case contactIdentifierInvalid
    /// Something that decodes, or may be taken, for a contact but is not its canonical path: to be refused.
    case contactNotCanonical
    /// The contacts of one audience, under any spelling.
    case contactList(audience: UInt128)
    /// The relay's own paths, under any spelling, as the normal path without the query: never to be forwarded.
    case relay(path: String)
    /// Anything else.
    case other

    /// Tells what a request target (RFC 9112 §3.2) names; its query does not matter.
    ///
    /// The canonical path of a contact or list costs no allocation.
    package static func classify(_ target: String) -> RequestTarget {
        target.utf8.withContiguousStorageIfAvailable { classify(target: $0) }
            ?? ContiguousArray(target.utf8).withUnsafeBufferPointer { classify(target: $0) }
    }

    private static func classify(target: UnsafeBufferPointer<UInt8>) -> RequestTarget {
        guard let first = target.first else { return .other }
        switch first {
        case UInt8(ascii: "/"):
            return classify(path: target)
        case UInt8(ascii: "\\"), UInt8(ascii: "%"):
            return SpelledPath(target[...]).target
        default:
            guard let path = pathOfAbsoluteForm(target) else { return .other }
            return classify(path: UnsafeBufferPointer(rebasing: path))
        }
    }

    private static func classify(path: UnsafeBufferPointer<UInt8>) -> RequestTarget {
        canonicalContact(path) ?? plain(path) ?? SpelledPath(path[...]).target
    }

    /// The hot case by fixed offsets: `/v1/audiences/{36}/contacts` and `/v1/audiences/{36}/contacts/{36}`.
    private static func canonicalContact(_ path: UnsafeBufferPointer<UInt8>) -> RequestTarget? {
        guard path.count >= contactsEnd, matches(path, "/v1/audiences/", at: 0),
            matches(path, "/contacts", at: audienceStart + UUIDText.length),
            let audience = uuid(path, at: audienceStart)
        else { return nil }
        if endsPath(path, at: contactsEnd) { return .contactList(audience: audience) }
        guard path.count >= contactEnd, path[contactsEnd] == UInt8(ascii: "/"), endsPath(path, at: contactEnd),
            let contact = uuid(path, at: contactsEnd + 1)
        else { return nil }
        return .contact(ContactReference(audience: audience, contact: contact))
    }

    private static let audienceStart = 14
    private static let contactsEnd = audienceStart + UUIDText.length + 9
    private static let contactEnd = contactsEnd + 1 + UUIDText.length

    @inline(__always)
    private static func endsPath(_ path: UnsafeBufferPointer<UInt8>, at index: Int) -> Bool {
        path.count == index || path[index] == UInt8(ascii: "?")
    }

    @inline(__always)
    private static func uuid(_ path: UnsafeBufferPointer<UInt8>, at start: Int) -> UInt128? {
        UUIDText.parseContiguous(UnsafeBufferPointer(rebasing: path[start..<start + UUIDText.length]))
    }

    @inline(__always)
    private static func matches(_ path: UnsafeBufferPointer<UInt8>, _ literal: StaticString, at start: Int) -> Bool {
        guard path.count - start >= literal.utf8CodeUnitCount else { return false }
        for index in 0..<literal.utf8CodeUnitCount where path[start + index] != literal.utf8Start[index] {
            return false
        }
        return true
    }

    /// Classifies a path that can be read in one way only; nil where it holds anything that needs a second look.
    private static func plain(_ path: UnsafeBufferPointer<UInt8>) -> RequestTarget? {
        var end = 0
        var segments = 0
        var previous: UInt8 = 0
        scan: while end < path.count {
            let byte = path[end]
            switch byte {
            case UInt8(ascii: "?"): break scan
            case UInt8(ascii: "%"), UInt8(ascii: "\\"), UInt8(ascii: ";"), UInt8(ascii: "#"), 0: return nil
            case UInt8(ascii: "/") where previous == UInt8(ascii: "/"): return nil
            case UInt8(ascii: ".") where previous == UInt8(ascii: "/"): return nil
            case UInt8(ascii: "/"): segments += 1
            default: break
            }
            previous = byte
            end += 1
        }
        if end > 1, previous == UInt8(ascii: "/") { return nil }
        if matches(path, "/_relay", at: 0), end == 7 || path[7] == UInt8(ascii: "/") {
            return .relay(path: String(decoding: path[..<end], as: UTF8.self))
        }
        guard segments == 5, matches(path, "/v1/audiences/", at: 0) else { return .other }
        let afterAudience = path[audienceStart..<end].firstIndex(of: UInt8(ascii: "/")) ?? end
        return matches(path, "/contacts/", at: afterAudience) ? .contactIdentifierInvalid : .other
    }

    /// The path, query and all, of `scheme://authority/path`; nil for `*`, `host:port` and whatever else there is.
    private static func pathOfAbsoluteForm(
        _ target: UnsafeBufferPointer<UInt8>
    ) -> UnsafeBufferPointer<UInt8>.SubSequence? {
        guard let colon = target.firstIndex(of: UInt8(ascii: ":")), matches(target, "://", at: colon) else {
            return nil
        }
        let authority = target[(colon + 3)...]
        let end = authority.firstIndex {
            $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "\\") || $0 == UInt8(ascii: "?") || $0 == UInt8(ascii: "#")
        }
        guard let end, target[end] == UInt8(ascii: "/") || target[end] == UInt8(ascii: "\\") else { return nil }
        return target[end...]
    }
}
