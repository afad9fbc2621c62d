package import NIOCore
package import NIOHTTP1

/// Takes what becomes of an exchange, on the event loop of its connection.
///
/// `sent` comes first, and after it `interim` may be called any number of times, then `head` once, `body` any number of times, and `ended`; or
/// `failed` at any point, after which nothing comes. Every exchange ends with exactly one of `ended` and `failed`.
package protocol ExchangeDelegate: AnyObject {
    /// The request goes out now; once more where it is repeated on a fresh connection.
    func sent()
    /// Takes an interim reply (1xx, but 101).
    func interim(_ head: ReceivedHead)
    /// Takes the head of the final reply.
    func head(_ head: ReceivedHead)
    /// Takes the next bytes of the reply's body.
    func body(_ bytes: ByteBuffer)
    /// Takes the end of a whole reply, with its trailer section where one came.
    func ended(trailers: HTTPHeaders?)
    /// Takes the end of an exchange that brought no whole reply.
    func failed(_ failure: ExchangeFailure)
    /// The connection takes pieces of the request's body now.
    func writable()
}

extension ExchangeDelegate {
    /// Is of no interest where the order of requests is not.
    package func sent() {}
    /// Leaves interim replies alone.
    package func interim(_ head: ReceivedHead) {}
    /// Is of no interest without a streamed body.
    package func writable() {}
}
