import NIOCore

/// Serves one request; everything happens on the connection's event loop.
protocol Exchange: AnyObject {
    /// Some of the request's body has come.
    func receive(_ bytes: ByteBuffer)
    /// The request is complete.
    func end()
    /// The client has gone, or the reply is complete: nothing more is wanted.
    func cancel()
    /// The client takes more of a streamed answer again; ``ConnectionHandler/isWritable`` is true.
    func resumeAnswer()
}

extension Exchange {
    /// Nothing to do for those who answer in one piece.
    func resumeAnswer() {}
}
