import DexatelAPI
import HTTPWire

/// Answers clients' own conditions and ranges from a chosen stored reply (RFC 9111 §4.3.2, RFC 9110 §13.2.2, §14).
enum Precondition {
    /// What of the stored reply goes to the client.
    static func form(_ stored: StoredResponse, for request: CacheRequest) -> CacheHit.Form {
        guard request.hasConditions, (200..<300).contains(stored.status) else { return .whole }
        if !isModified(stored, request.fields) { return .notModified }
        guard stored.status == 200, request.isGet, let range = request.fields.first(.range),
            !request.fields.hasSeveral(.range), ifRangeHolds(stored, request.fields),
            let parsed = ByteRange(range, length: stored.bodyBytes)
        else { return .whole }
        return switch parsed {
        case .satisfiable(let range): .partial(range)
        case .unsatisfiable: .unsatisfiableRange
        }
    }

    /// `If-None-Match` where there is one, and only else `If-Modified-Since` (RFC 9110 §13.2.2).
    private static func isModified(_ stored: StoredResponse, _ request: FieldSection) -> Bool {
        let lines = request.values(.ifNoneMatch)
        if !lines.isEmpty {
            if lines.contains(where: { Array($0.utf8)[...].trimmed.elementsEqual("*".utf8) }) { return false }
            guard let tags = EntityTag.list(lines), let tag = stored.entityTag else { return true }
            return !tags.contains { $0.matchesWeakly(tag) }
        }
        // A body with writes laid over it has no date: that of its base would hide them (RFC 9110 §13.1.3).
        guard !OverlayETag.isOne(stored.entityTagText) else { return true }
        // Without a `Last-Modified` there is nothing to compare with: `Date` says when the reply was made, not its content.
        let dates = request.values(.ifModifiedSince)
        guard dates.count == 1, let modified = stored.lastModifiedUnixSeconds,
            let since = HTTPDate.parse(dates[0], nowUnixSeconds: stored.dateUnixSeconds)
        else { return true }
        return modified > since
    }

    /// A range of a representation that has changed since is of no use (RFC 9110 §13.1.5).
    private static func ifRangeHolds(_ stored: StoredResponse, _ request: FieldSection) -> Bool {
        let lines = request.values(.ifRange)
        guard let value = lines.first else { return true }
        guard lines.count == 1 else { return false }
        if let tag = EntityTag(value) { return stored.entityTag?.matchesStrongly(tag) == true }
        guard let date = HTTPDate.parse(value, nowUnixSeconds: stored.dateUnixSeconds),
            let modified = stored.lastModifiedUnixSeconds
        else { return false }
        // A date is a strong validator only if the reply was made at least a second later (RFC 9110 §8.8.2.2).
        return modified == date && stored.dateUnixSeconds > modified
    }
}
