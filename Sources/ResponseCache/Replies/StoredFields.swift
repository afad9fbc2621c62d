import DexatelAPI
import NIOHTTP1

/// Which fields of a reply are stored (RFC 9111 §3.1).
enum StoredFields {
    typealias Field = (name: String, value: String)

    /// The fields to keep: end-to-end ones, without those that are computed anew or belong to one client.
    ///
    /// `Set-Cookie` goes to the client whose request fetched it, and never to another (RFC 9111 §7.3 leaves it to the
    /// cache; a session that moves from one app to the next is worse than a cookie that is missing).
    static func endToEnd(_ headers: HTTPHeaders) -> [Field] {
        let named = headers[canonicalForm: "Connection"].map { $0.lowercased() }
        return headers.compactMap { name, value in
            if ConnectionFields.contains(name) || neverStored.contains(where: { name.isASCII($0) }) { return nil }
            if !named.isEmpty, named.contains(name.lowercased()) { return nil }
            return (name, value)
        }
    }

    /// Whether the fields can be written into a head without changing where its parts begin and end.
    static func areWellFormed(_ fields: [Field]) -> Bool {
        fields.allSatisfy { name, value in
            !name.isEmpty && name.utf8.allSatisfy(\.isTokenByte)
                && value.utf8.allSatisfy { $0 != 0x0D && $0 != 0x0A && $0 != 0 }
        }
    }

    private static let neverStored: [StaticString] = [
        // Computed anew for each answer.
        "age", "content-length",
        "set-cookie", "set-cookie2",
    ]

    /// What of a stored reply a 304 or 416 made from it carries (RFC 9110 §15.4.5).
    ///
    /// What an overlay says of itself is there too: the same body may show another number of writes by now.
    static func describesSelection(_ name: String) -> Bool {
        selecting.contains { name.isASCII($0) }
    }

    private static let selecting: [StaticString] = [
        "cache-control", "content-location", "date", "etag", "expires", "last-modified", "vary", "via",
        "contact-relay-pending", "contact-relay-overlay",
    ]
}
