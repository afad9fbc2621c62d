import DexatelAPI
import NIOHTTP1

/// Updates stored replies by what a validation said (RFC 9111 §3.2, §4.3.4).
enum Freshening {
    /// Whether a 304 speaks of this stored reply, and not of some other.
    static func selects(_ stored: StoredResponse, by headers: HTTPHeaders) -> Bool {
        if let text = headers.first(name: "ETag") {
            guard let tag = EntityTag(text), let known = stored.entityTag else { return false }
            return tag.isWeak ? tag.matchesWeakly(known) : tag.matchesStrongly(known)
        }
        if let text = headers.first(name: "Last-Modified") {
            return HTTPDate.parse(text, nowUnixSeconds: stored.dateUnixSeconds) == stored.lastModifiedUnixSeconds
        }
        return true
    }

    /// The stored fields, each that the 304 has too replaced by its values.
    ///
    /// What describes the body that is kept stays as it is: a 304 has none, and servers put defaults there.
    static func merged(_ stored: HTTPHeaders, with headers: HTTPHeaders) -> HTTPHeaders {
        var merged = stored
        // The old reply's age and date are not those of its confirmation.
        merged.remove(name: "Date")
        let update = StoredFields.endToEnd(headers).filter { field in
            !describesBody.contains { field.name.isASCII($0) }
        }
        for field in update { merged.remove(name: field.name) }
        for field in update { merged.add(name: field.name, value: field.value) }
        return merged
    }

    private static let describesBody: [StaticString] = [
        "content-length", "content-encoding", "content-type", "content-range", "content-digest", "repr-digest",
        "content-md5", "digest",
    ]

    /// The fields that ask whether a stored reply is still good; empty where it has no validator (RFC 9111 §4.3.1).
    static func conditions(_ stored: StoredResponse) -> [(name: String, value: String)] {
        let fields = stored.fields
        var conditions: [(name: String, value: String)] = []
        if let tag = stored.entityTagText, stored.entityTag != nil { conditions.append(("If-None-Match", tag)) }
        if let date = fields.first(name: "Last-Modified"), stored.lastModifiedUnixSeconds != nil {
            conditions.append(("If-Modified-Since", date))
        }
        return conditions
    }
}
