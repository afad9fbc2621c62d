package import NIOCore

/// A complete answer as it goes on the wire.
package struct WireImage: Sendable {
    /// Head, blank line, and the body unless it is apart.
    package var bytes: ByteBuffer
    /// A long body, to be written behind ``bytes``.
    package var body: ByteBuffer?
}

/// What an answer needs beyond what is prepared.
package struct WireAdditions: Sendable {
    /// Says something else of the cache than "hit".
    package var cacheStatus: CacheStatus?
    /// The upstream has just given or confirmed it for this very request, so that it has no `Age` (RFC 9111 §5.1).
    package var isFetched = false
    /// The value of a `Connection` field.
    package var connection: String?
    /// Further fields.
    package var fields: [(name: String, value: String)]

    /// Gathers additions; all of them are optional.
    package init(
        cacheStatus: CacheStatus? = nil,
        connection: String? = nil,
        fields: [(name: String, value: String)] = []
    ) {
        self.cacheStatus = cacheStatus
        self.connection = connection
        self.fields = fields
    }
}
