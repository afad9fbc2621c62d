import DexatelAPI
import HTTPWire
import Upstream

/// The header fields by which ``ClientRules`` judges who asks, and for whom.
struct ClientFields {
    private let head: RequestHead

    init(_ head: RequestHead) { self.head = head }

    private var fields: FieldSection { head.fields }

    /// The first `Host`.
    var host: String? { fields.first(.host) }
    var hasSeveralHosts: Bool { fields.hasSeveral(.host) }
    /// The first `Origin`.
    var origin: String? { fields.first(.origin) }
    var hasSeveralOrigins: Bool { fields.hasSeveral(.origin) }
    /// Whether a browser says that a page of another site asks (`Sec-Fetch-Site`), in any of several fields, which a proxy
    /// may have joined to one.
    var isCrossSite: Bool { fields.has(.secFetchSite) && fields.tokens(.secFetchSite).contains("cross-site") }
    /// The values of `X-Forwarded-For`.
    var forwardedFor: [String] { fields.values(.forwardedFor) }
    /// The values of `Forwarded`.
    var forwarded: [String] { fields.values(.forwarded) }
    /// Whether the request was sent by this relay.
    var isOwn: Bool { fields.has(.via) && fields.values(.via).contains { HeaderHygiene.isOwn(via: $0) } }
    /// The first `Authorization`.
    var authorization: String? { fields.first(.authorization) }
    var hasSeveralAuthorizations: Bool { fields.hasSeveral(.authorization) }

    /// Whether there is an API key.
    var hasAPIKey: Bool { withAPIKey { _ in true } ?? false }

    /// Whether a proxy says whom it speaks for.
    var isForwarded: Bool { fields.has(.forwardedFor) || fields.has(.forwarded) }

    /// Hands out the bytes of the first `X-Dexatel-Key`, as everywhere in the relay; nil when it is missing or empty.
    func withAPIKey<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result? {
        (fields.withFirst(.apiKey) { $0.isEmpty ? nil : body($0) }) ?? nil
    }

    /// Whether the first `X-Dexatel-Key` is this one.
    func hasAPIKey(_ key: Secret) -> Bool { fields.first(.apiKey, is: key.bytes) }

    /// Whether the first `Host` has these bytes.
    func hasHost(_ host: [UInt8]) -> Bool { fields.first(.host, is: host) }
}
