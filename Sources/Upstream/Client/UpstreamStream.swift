import AsyncHTTPClient
package import NIOCore
package import NIOHTTP1

/// A reply whose head is there and whose body is still coming.
package struct UpstreamStream: Sendable {
    /// The status code.
    package let status: Int
    /// The fields as they came, hop-by-hop fields included.
    package let headers: HTTPHeaders
    /// The body, to be read once.
    ///
    /// Letting go of it unread closes the connection.
    package let body: UpstreamBody
}

/// The pieces of a reply's body, with back-pressure; a reply that ends early throws ``UpstreamFailure``.
package struct UpstreamBody: AsyncSequence, Sendable {
    package typealias Element = ByteBuffer
    package typealias Failure = any Error

    let base: HTTPClientResponse.Body
    let slot: ConnectionSlots.Slot
    let upstream: UpstreamURL

    /// Starts reading; only one iterator can exist.
    package func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(base: self.base.makeAsyncIterator(), slot: self.slot, upstream: self.upstream)
    }

    /// Reads the pieces, and frees the connection's place after the last.
    package struct AsyncIterator: AsyncIteratorProtocol {
        package typealias Element = ByteBuffer
        package typealias Failure = any Error

        var base: HTTPClientResponse.Body.AsyncIterator
        let slot: ConnectionSlots.Slot
        let upstream: UpstreamURL

        /// The next piece, or `nil` after the last one of a whole reply.
        package mutating func next() async throws -> ByteBuffer? {
            do {
                guard let piece = try await self.base.next() else {
                    self.slot.release()
                    return nil
                }
                return piece
            } catch {
                self.slot.release()
                throw UpstreamFailure(cause: error, from: self.upstream)
            }
        }
    }
}

/// The app's body on its way up: whatever ends it early is the app's doing, and is called so.
///
/// async-http-client takes pieces as long as it has not heard that the connection can take no more, and it hears that
/// on the connection's event loop: while that is busy, any number of pieces could pile up before it. So every now and
/// then the event loops get to work off what is there, and to stop the sequence, before the next piece is handed out.
struct RequestBody<Base: AsyncSequence & Sendable>: AsyncSequence, Sendable where Base.Element == ByteBuffer {
    typealias Element = ByteBuffer

    let base: Base
    let eventLoops: any EventLoopGroup

    func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(base: self.base.makeAsyncIterator(), eventLoops: self.eventLoops)
    }

    struct AsyncIterator: AsyncIteratorProtocol {
        /// Bytes that are handed out before the event loops are waited for.
        private static var maxUnseenBytes: Int { 256 * 1024 }

        var base: Base.AsyncIterator
        let eventLoops: any EventLoopGroup
        private var unseenBytes = 0

        init(base: Base.AsyncIterator, eventLoops: any EventLoopGroup) {
            self.base = base
            self.eventLoops = eventLoops
        }

        mutating func next() async throws -> ByteBuffer? {
            do {
                if self.unseenBytes >= Self.maxUnseenBytes {
                    self.unseenBytes = 0
                    // Which loop the connection is on is not told; all of them are few.
                    for eventLoop in self.eventLoops.makeIterator() { try await eventLoop.submit {}.get() }
                }
                let piece = try await self.base.next()
                self.unseenBytes += piece?.readableBytes ?? 0
                return piece
            } catch {
                throw UpstreamFailure(.cancelled, "the request's body ended early", mayHaveTakenEffect: true)
            }
        }
    }
}
