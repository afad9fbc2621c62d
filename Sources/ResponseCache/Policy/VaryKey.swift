import DexatelAPI
import NIOHTTP1

/// The request fields that a stored reply was chosen by (RFC 9111 §4.1).
struct VaryKey: Sendable, Equatable {
    /// Names in lower case, sorted, each with the value that the original request had; nil: it had none.
    let fields: [(name: String, value: String?)]

    static func == (one: VaryKey, other: VaryKey) -> Bool {
        one.fields.elementsEqual(other.fields) { $0.name == $1.name && Self.isSame($0.value, $1.value) }
    }

    /// Reads `Vary`.
    ///
    /// - Returns: Nil for a reply that does not vary.
    /// - Throws: ``StoreRefusal/vary`` for `*`, for names that are none, for `Via`, which the relay writes itself, and for
    ///   credentials that the request carried: those are not to be kept. The API key needs no keeping: the partition is
    ///   chosen by it.
    static func of(_ reply: HTTPHeaders, request: CacheRequest) throws(StoreRefusal) -> VaryKey? {
        var names: Set<String> = []
        for member in reply[canonicalForm: "Vary"] where !member.isEmpty {
            let name = member.lowercased()
            guard name != "*", name != "via", name.utf8.allSatisfy(\.isTokenByte) else { throw .vary }
            if name == "x-dexatel-key" { continue }
            if name == "authorization" || name == "cookie", !request.forwardedLines(name).isEmpty {
                throw .vary
            }
            names.insert(name)
        }
        guard !names.isEmpty else { return nil }
        return VaryKey(fields: names.sorted().map { ($0, combined(request.forwardedLines($0), of: $0)) })
    }

    init(fields: [(name: String, value: String?)]) { self.fields = fields }

    /// Whether a request has the same values.
    func matches(_ request: CacheRequest) -> Bool {
        fields.allSatisfy { Self.isSame(Self.combined(request.forwardedLines($0.name), of: $0.name), $0.value) }
    }

    /// Whether two values are the same bytes, or both missing.
    private static func isSame(_ one: String?, _ other: String?) -> Bool {
        guard let one, let other else { return one == nil && other == nil }
        return one.hasSameBytes(as: other)
    }

    /// The fields that a request had, as far as they are known.
    var request: CacheRequest {
        let known = fields.compactMap { field in field.value.map { (field.name, $0) } }
        return CacheRequest(method: .GET, headers: HTTPHeaders(known))
    }

    /// The lines combined, without the whitespace that means nothing; lists of weighted choices in one spelling.
    private static func combined(_ lines: [String], of name: String) -> String? {
        guard !lines.isEmpty else { return nil }
        let members = lines.flatMap { line in
            line.utf8.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false)
                .map { String(decoding: Array($0)[...].trimmed, as: UTF8.self) }
        }
        let normal = NegotiationList.isOne(name) ? NegotiationList.normal(members, of: name) : nil
        return (normal ?? members).joined(separator: ", ")
    }

    /// The bytes that keeping it takes, roughly: each string has a header of its own.
    var bytes: Int { fields.reduce(32) { $0 + 96 + $1.name.utf8.count + ($1.value?.utf8.count ?? 0) } }
}
