import DexatelAPI
package import NIOCore
import NIOHTTP1

/// Replies that are made from others instead of being stored as they came.
extension StoredResponse {
    /// The reply with another body: the base under an overlay of writes (design §5.4).
    ///
    /// What described the old body goes: validators, digests and ranges. Age and freshness stay those of the base.
    ///
    /// - Parameters:
    ///   - status: Another status, where the overlay changes that too.
    ///   - fields: What is added, such as the relay's own `ETag`; takes the place of fields of these names.
    package func with(
        body: ByteBuffer,
        status: Int? = nil,
        fields added: [(name: String, value: String)] = []
    ) -> StoredResponse {
        let kept = fields.filter { name, _ in
            !Self.describesBody.contains { name.isASCII($0) }
                && !added.contains { $0.name.lowercased() == name.lowercased() }
        }
        return StoredResponse(
            status: status ?? self.status,
            fields: kept + added,
            body: body,
            terms: Storability.Terms(freshness: freshness, vary: vary),
            dateIfNone: dateUnixSeconds,
            requestedMilliseconds: requestedMilliseconds,
            heldUpToMilliseconds: heldUpToMilliseconds
        )
    }

    /// The same reply, into which all was worked that had been delivered up to a monotonic moment.
    package func holding(deliveriesUpTo milliseconds: Int64) -> StoredResponse {
        StoredResponse(
            status: status,
            fields: fields.map { ($0.name, $0.value) },
            body: body,
            terms: Storability.Terms(freshness: freshness, vary: vary),
            dateIfNone: dateUnixSeconds,
            requestedMilliseconds: requestedMilliseconds,
            heldUpToMilliseconds: max(heldUpToMilliseconds, milliseconds + 1)
        )
    }

    private static let describesBody: [StaticString] = [
        "etag", "last-modified", "content-digest", "repr-digest", "digest", "content-md5", "accept-ranges",
        "content-range",
    ]

    /// A reply that is answered with once and not kept: one that must not be stored, or an error.
    package static func unstored(_ reply: ReplyHead, body: ByteBuffer) -> StoredResponse {
        StoredResponse(
            status: reply.status,
            fields: StoredFields.endToEnd(reply.headers),
            body: body,
            terms: Storability.Terms(
                freshness: .afterRefusal(reply.times.bornMilliseconds(reply.headers)),
                vary: nil
            ),
            dateIfNone: reply.times.responseUnixSeconds,
            requestedMilliseconds: reply.times.requestMilliseconds
        )
    }

    /// The body in identity coding, if that is how it is stored.
    package var identityBody: ByteBuffer? { hasCoding ? nil : body }
}
