import NIOCore

/// Serves one request; everything happens on the connection's event loop.
protocol Exchange: AnyObject {
    /// Some of the request's body has come.
    func receive(_ bytes: ByteBuffer)
    /// The request is complete.
    func end()
    /// The client has gone, or the reply is complete: nothing more is wanted.
    func cancel()
}
