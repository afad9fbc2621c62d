package import NIOCore
import NIOHTTP1

/// The leave to store a reply, given by its head, so that its body need only be gathered if it is of use.
package struct StoragePlan: Sendable {
    /// What to store it under.
    package let key: CacheKey
    /// For how long it will be good.
    package var freshness: Freshness { terms.freshness }
    /// Whether the reply may be that to another request, too, as far as its `Vary` goes (RFC 9111 §4.1).
    package func suits(_ request: CacheRequest) -> Bool { terms.vary?.matches(request) != false }
    let request: CacheRequest
    let token: FetchToken
    /// More is not stored.
    package let maxBodyBytes: Int
    private let status: Int
    private let terms: Storability.Terms
    private let fields: [StoredFields.Field]
    private let announcedBytes: Int?
    private let times: ExchangeTimes

    /// Judges a reply's head (RFC 9111 §3).
    ///
    /// - Parameters:
    ///   - request: The request that it answers, whose `Vary` fields are kept.
    ///   - token: From the answer to that request.
    /// - Throws: Why it must not be stored, or need not.
    package init(
        _ reply: ReplyHead,
        to request: CacheRequest,
        key: CacheKey,
        token: FetchToken,
        _ configuration: CacheConfiguration
    ) throws(StoreRefusal) {
        terms = try Storability.judge(reply, to: request, key: key, configuration)
        fields = StoredFields.endToEnd(reply.headers)
        guard StoredFields.areWellFormed(fields), key.target.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw .malformed
        }
        announcedBytes = try Self.announcedBytes(reply)
        guard announcedBytes ?? 0 <= configuration.maxObjectBytes else { throw .tooLarge }
        maxBodyBytes = configuration.maxObjectBytes
        status = reply.status
        times = reply.times
        self.key = key
        self.request = request
        self.token = token
    }

    /// `Content-Length`, unless a transfer coding overrides it (RFC 9112 §6.3).
    private static func announcedBytes(_ reply: ReplyHead) throws(StoreRefusal) -> Int? {
        guard !reply.headers.contains(name: "Transfer-Encoding") else { return nil }
        let lengths = reply.headers[canonicalForm: "Content-Length"]
        guard let text = lengths.first else { return nil }
        guard lengths.allSatisfy({ $0 == text }), !text.isEmpty, text.utf8.allSatisfy(\.isDigit) else {
            throw .malformed
        }
        guard let length = Int(text) else { throw .tooLarge }
        return length
    }

    /// Makes the stored reply out of the whole body.
    package func response(body: ByteBuffer) throws(StoreRefusal) -> StoredResponse {
        guard body.readableBytes <= maxBodyBytes else { throw .tooLarge }
        if StatusRules.isBodiless(status) {
            guard body.readableBytes == 0 else { throw .incomplete }
        } else if let announcedBytes, announcedBytes != body.readableBytes {
            throw .incomplete
        }
        return StoredResponse(
            status: status,
            fields: fields,
            body: body,
            terms: terms,
            dateIfNone: times.responseUnixSeconds,
            requestedMilliseconds: times.requestMilliseconds
        )
    }
}
