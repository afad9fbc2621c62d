/// The bounds and defaults of the read cache (design §2.3, `reads.*`).
package struct CacheConfiguration: Sendable {
    /// Freshness of replies without explicit freshness, where ``appliesDefaults`` says so (`reads.default_ttl`).
    package var defaultTTLSeconds: Int64 = 60
    /// For how long a stale reply is served while it is revalidated behind the scenes (`reads.stale_while_revalidate`).
    package var staleWhileRevalidateSeconds: Int64 = 30
    /// For how long a stale reply is served while the upstream fails (`reads.stale_if_error`).
    package var staleIfErrorSeconds: Int64 = 7 * 86_400
    /// Freshness of errors that may be cached without explicit freshness, 404 above all (`reads.negative_ttl`).
    package var negativeTTLSeconds: Int64 = 10
    /// What all entries together may take, everything counted (`reads.memory`).
    package var memoryBytes = 64 << 20
    /// What the files of the disk tier may take together; 0 for none (`reads.disk`).
    package var diskBytes = 512 << 20
    /// The longest body that is stored (`reads.max_object`).
    package var maxObjectBytes = 1 << 20
    /// The most replies to one target that differ by what their `Vary` names.
    package var maxVariantsPerTarget = 8
    /// Fields that are obeyed instead of `Cache-Control` and `Expires`, the first that is there and valid (RFC 9213).
    package var targetedFields = ["Contact-Relay-Cache-Control"]
    /// Says for which request targets the defaults above hold; everywhere else only what a reply says itself.
    package var appliesDefaults: @Sendable (_ target: String) -> Bool = CacheConfiguration.isBelowAudiences

    /// The defaults of the configuration file.
    package init() {}

    /// Whether a target is `/v1/audiences` or below it.
    @Sendable
    package static func isBelowAudiences(_ target: String) -> Bool {
        var rest = target.utf8[...]
        guard rest.starts(with: audiences) else { return false }
        rest.removeFirst(audiences.count)
        guard let next = rest.first else { return true }
        return next == UInt8(ascii: "/") || next == UInt8(ascii: "?")
    }

    private static let audiences = Array("/v1/audiences".utf8)
}
