import DexatelAPI

/// What the cache did with a request, as `Cache-Status` says it (RFC 9211).
package struct CacheStatus: Sendable, Equatable {
    /// Why a request went to the upstream (RFC 9211 §2.2).
    package enum Forward: String, Sendable {
        /// The cache was not asked.
        case bypass
        /// The method's meaning requires it.
        case method
        /// Nothing is stored for this target.
        case uriMiss = "uri-miss"
        /// What is stored for this target does not match the request's `Vary` fields.
        case varyMiss = "vary-miss"
        /// Nothing that fits is stored.
        case miss
        /// The request's own directives ask for it.
        case request
        /// What is stored is stale, or was invalidated.
        case stale
    }

    /// Nil for a hit, and for a request that was not forwarded because the upstream is not there.
    package var forward: Forward?
    /// The request was neither answered from the cache nor forwarded.
    package var isUnserved = false
    /// The upstream's status, where it was asked.
    package var forwardStatus: Int?
    /// Remaining freshness; negative when stale.
    package var ttlSeconds: Int64?
    /// The reply was stored.
    package var isStored = false
    /// The request shared the upstream's reply to another.
    package var isCollapsed = false
    /// What else there is to say.
    package var detail: String?

    /// Starts with a hit, or with the reason why it is none.
    package init(forward: Forward? = nil, ttlSeconds: Int64? = nil, detail: String? = nil) {
        self.forward = forward
        self.ttlSeconds = ttlSeconds
        self.detail = detail
    }

    /// Nothing is stored, and nobody is there to be asked.
    package static func unserved(detail: String) -> CacheStatus {
        var status = CacheStatus(detail: detail)
        status.isUnserved = true
        return status
    }

    /// The list member, say `contact-relay; fwd=miss; fwd-status=200; stored; ttl=60`.
    package var fieldValue: String {
        var text = Self.cacheName
        if let forward {
            text += "; fwd=\(forward.rawValue)"
            if let forwardStatus { text += "; fwd-status=\(forwardStatus)" }
            if isStored { text += "; stored" }
            if isCollapsed { text += "; collapsed" }
        } else if !isUnserved {
            text += "; hit"
        }
        if let ttlSeconds { text += "; ttl=\(ttlSeconds)" }
        if let detail { text += "; detail=\(Self.item(detail))" }
        return text
    }

    /// The relay's name in the list.
    package static let cacheName = "contact-relay"

    /// A token where the grammar of structured fields admits one, else a string (RFC 9651 §3.3).
    private static func item(_ text: String) -> String {
        let isToken = text.utf8.first.map { $0.asciiLowercased >= 0x61 && $0.asciiLowercased <= 0x7A } ?? false
        if isToken, text.utf8.allSatisfy(\.isTokenByte) { return text }
        var quoted: [UInt8] = [UInt8(ascii: "\"")]
        for byte in text.utf8 where byte >= 0x20 && byte < 0x7F {
            if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") { quoted.append(UInt8(ascii: "\\")) }
            quoted.append(byte)
        }
        quoted.append(UInt8(ascii: "\""))
        return String(decoding: quoted, as: UTF8.self)
    }
}
