package import NIOCore
package import NIOHTTP1
import Synchronization

/// A reply whose head is there and whose body is still coming.
package struct ReplyStream: Sendable {
    /// Its head.
    package let head: ReceivedHead
    /// Its body, to be read once; letting go of it unread closes the connection.
    package let body: ReplyBody
}

/// The pieces of a reply's body, with back-pressure; a reply that ends early throws ``ExchangeFailure``.
package struct ReplyBody: AsyncSequence, Sendable {
    package typealias Element = ByteBuffer
    package typealias Failure = any Error

    fileprivate final class Lifetime: Sendable {
        let streaming: Streaming

        init(_ streaming: Streaming) { self.streaming = streaming }

        deinit { self.streaming.cancel() }
    }

    private let lifetime: Lifetime

    init(_ streaming: Streaming) {
        self.lifetime = Lifetime(streaming)
    }

    /// The trailer section, once the last piece was read, if one came.
    package var trailers: HTTPHeaders? { self.lifetime.streaming.trailers }

    /// Starts reading; only one iterator can exist.
    package func makeAsyncIterator() -> AsyncIterator { AsyncIterator(lifetime: self.lifetime) }

    /// Reads the pieces.
    package struct AsyncIterator: AsyncIteratorProtocol {
        package typealias Element = ByteBuffer
        package typealias Failure = any Error

        private let lifetime: Lifetime

        fileprivate init(lifetime: Lifetime) { self.lifetime = lifetime }

        /// The next piece, or `nil` after the last one of a whole reply.
        package mutating func next() async throws -> ByteBuffer? { try await self.lifetime.streaming.next() }
    }
}

extension OriginClient {
    /// Sends a request whose body may come in pieces, and returns as soon as the final reply's head is there.
    ///
    /// - Parameters:
    ///   - body: The pieces of the request's body, if the request says that there are any; an error thrown by it ends the
    ///     exchange with ``ExchangeFailure/Code/cancelled``.
    ///   - sent: Called on the connection's event loop when the request goes out, each time that it does.
    ///   - interim: Takes interim replies but 100, on the connection's event loop.
    package func open(
        _ request: OutboundRequest,
        body: (some AsyncSequence<ByteBuffer, any Error> & Sendable)?,
        sent: (@Sendable () -> Void)? = nil,
        interim: (@Sendable (ReceivedHead) -> Void)? = nil
    ) async throws(ExchangeFailure) -> ReplyStream {
        let streaming = Streaming(sent: sent, interim: interim)
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                streaming.begin(continuation)
                do throws(ExchangeFailure) {
                    try self.start(request, timeout: nil, delegate: streaming) { streaming.started($0) }
                    if let body { streaming.pump(body) }
                } catch {
                    streaming.failed(error)
                }
            }
        } onCancel: {
            streaming.cancel()
        }
        return ReplyStream(head: try result.get(), body: ReplyBody(streaming))
    }
}
