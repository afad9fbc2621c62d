/// The header fields that the relay itself reads, recognised once while a head is parsed.
package enum KnownField: UInt8, Sendable, CaseIterable {
    case other
    case te
    case via
    case date
    case host
    case etag
    case range
    case cookie
    case expect
    case origin
    case pragma
    case prefer
    case ifMatch
    case ifRange
    case trailer
    case upgrade
    case forwarded
    case connection
    case keepAlive
    case contentType
    case maxForwards
    case apiKey
    case authorization
    case cacheControl
    case ifNoneMatch
    case contentLength
    case secFetchSite
    case forwardedFor
    case idempotencyKey
    case contentEncoding
    case ifModifiedSince
    case transferEncoding
    case ifUnmodifiedSince

    /// The name in lower case; empty for ``other``.
    package var name: StaticString {
        switch self {
        case .other: ""
        case .te: "te"
        case .via: "via"
        case .date: "date"
        case .host: "host"
        case .etag: "etag"
        case .range: "range"
        case .cookie: "cookie"
        case .expect: "expect"
        case .origin: "origin"
        case .pragma: "pragma"
        case .prefer: "prefer"
        case .ifMatch: "if-match"
        case .ifRange: "if-range"
        case .trailer: "trailer"
        case .upgrade: "upgrade"
        case .forwarded: "forwarded"
        case .connection: "connection"
        case .keepAlive: "keep-alive"
        case .contentType: "content-type"
        case .maxForwards: "max-forwards"
        case .apiKey: "x-dexatel-key"
        case .authorization: "authorization"
        case .cacheControl: "cache-control"
        case .ifNoneMatch: "if-none-match"
        case .contentLength: "content-length"
        case .secFetchSite: "sec-fetch-site"
        case .forwardedFor: "x-forwarded-for"
        case .idempotencyKey: "idempotency-key"
        case .contentEncoding: "content-encoding"
        case .ifModifiedSince: "if-modified-since"
        case .transferEncoding: "transfer-encoding"
        case .ifUnmodifiedSince: "if-unmodified-since"
        }
    }

    /// Recognises a field name, which is a token, whatever its case.
    @inline(__always)
    init(_ name: UnsafeRawBufferPointer) {
        @inline(__always)
        func only(_ field: KnownField) -> KnownField { name.isName(field.name) ? field : .other }
        @inline(__always)
        func either(_ one: KnownField, _ other: KnownField) -> KnownField {
            name.isName(one.name) ? one : only(other)
        }
        // By length and first letter: hardly a name is compared with more than one other.
        self =
            switch (name.count, name[0] | 0x20) {
            case (2, UInt8(ascii: "t")): only(.te)
            case (3, UInt8(ascii: "v")): only(.via)
            case (4, UInt8(ascii: "h")): only(.host)
            case (4, UInt8(ascii: "d")): only(.date)
            case (4, UInt8(ascii: "e")): only(.etag)
            case (5, UInt8(ascii: "r")): only(.range)
            case (6, UInt8(ascii: "c")): only(.cookie)
            case (6, UInt8(ascii: "e")): only(.expect)
            case (6, UInt8(ascii: "o")): only(.origin)
            case (6, UInt8(ascii: "p")): either(.pragma, .prefer)
            case (7, UInt8(ascii: "t")): only(.trailer)
            case (7, UInt8(ascii: "u")): only(.upgrade)
            case (8, UInt8(ascii: "i")): either(.ifMatch, .ifRange)
            case (9, UInt8(ascii: "f")): only(.forwarded)
            case (10, UInt8(ascii: "c")): only(.connection)
            case (10, UInt8(ascii: "k")): only(.keepAlive)
            case (12, UInt8(ascii: "c")): only(.contentType)
            case (12, UInt8(ascii: "m")): only(.maxForwards)
            case (13, UInt8(ascii: "x")): only(.apiKey)
            case (13, UInt8(ascii: "a")): only(.authorization)
            case (13, UInt8(ascii: "c")): only(.cacheControl)
            case (13, UInt8(ascii: "i")): only(.ifNoneMatch)
            case (14, UInt8(ascii: "c")): only(.contentLength)
            case (14, UInt8(ascii: "s")): only(.secFetchSite)
            case (15, UInt8(ascii: "x")): only(.forwardedFor)
            case (15, UInt8(ascii: "i")): only(.idempotencyKey)
            case (16, UInt8(ascii: "c")): only(.contentEncoding)
            case (17, UInt8(ascii: "i")): only(.ifModifiedSince)
            case (17, UInt8(ascii: "t")): only(.transferEncoding)
            case (19, UInt8(ascii: "i")): only(.ifUnmodifiedSince)
            default: .other
            }
    }
}

extension UnsafeRawBufferPointer {
    /// Whether a token of the same length is `name`, which holds lower-case letters and hyphens only, but for its case.
    @inline(__always)
    fileprivate func isName(_ name: StaticString) -> Bool {
        // Setting bit 5 lowers letters, and takes no other token byte to a letter or hyphen.
        for index in 0..<count where self[index] | 0x20 != name.utf8Start[index] { return false }
        return true
    }
}

/// A set of ``KnownField``: which of them a head has.
package struct KnownFields: OptionSet, Sendable {
    /// One bit for each field, by its raw value.
    package let rawValue: UInt64

    /// The set with these bits.
    package init(rawValue: UInt64) { self.rawValue = rawValue }

    /// The set of one field.
    @inline(__always)
    package init(_ field: KnownField) { rawValue = 1 << UInt64(field.rawValue) }
}
