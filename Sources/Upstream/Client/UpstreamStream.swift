import HTTPClient
package import NIOCore
package import NIOHTTP1

/// A reply whose head is there and whose body is still coming.
package struct UpstreamStream: Sendable {
    /// The status code.
    package let status: Int
    /// The fields as they came, hop-by-hop fields included.
    package let headers: HTTPHeaders
    /// Whether it is a 304 to a request without a condition, which is no answer to it.
    package let isUnaskedNotModified: Bool
    /// The body, to be read once.
    ///
    /// Letting go of it unread closes the connection.
    package let body: UpstreamBody

    init(_ stream: ReplyStream) {
        self.status = stream.head.status
        self.headers = stream.head.headers
        self.isUnaskedNotModified = stream.head.isUnaskedNotModified
        self.body = UpstreamBody(base: stream.body)
    }
}

/// The pieces of a reply's body, with back-pressure; a reply that ends early throws ``UpstreamFailure``.
package struct UpstreamBody: AsyncSequence, Sendable {
    package typealias Element = ByteBuffer
    package typealias Failure = any Error

    let base: ReplyBody

    /// Starts reading; only one iterator can exist.
    package func makeAsyncIterator() -> AsyncIterator { AsyncIterator(base: self.base.makeAsyncIterator()) }

    /// Reads the pieces.
    package struct AsyncIterator: AsyncIteratorProtocol {
        package typealias Element = ByteBuffer
        package typealias Failure = any Error

        var base: ReplyBody.AsyncIterator

        /// The next piece, or `nil` after the last one of a whole reply.
        package mutating func next() async throws -> ByteBuffer? {
            do {
                return try await self.base.next()
            } catch let failure as ExchangeFailure {
                throw UpstreamFailure(failure)
            }
        }
    }
}
