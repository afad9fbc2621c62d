/// What one HTTP/1.1 connection may do next: order, keep-alive, pipelining and limits (RFC 9112 §9).
///
/// A pure state machine: it knows neither bytes nor channels nor time. One request is served at a time; what a client
/// pipelines behind it waits.
struct ConnectionState: ~Copyable {
    /// Body bytes that are read and thrown away, to keep a connection, after a request was answered early.
    static let maxDiscardedBytes = 64 * 1024

    private enum Phase: Equatable {
        /// Between requests.
        case idle
        /// A request's body is coming in.
        case receiving
        /// The request is here; its answer is not.
        case answering
        /// The answer went out before the request was here; the rest of it is thrown away.
        case discarding(bytes: Int)
        /// The last answer is on its way out.
        case closing
    }

    private var phase = Phase.idle
    private var keepsAlive = true
    private var isQuiescing = false
    private var inputIsClosed = false

    /// Whether nothing is being served: the connection may be closed at any time.
    var isIdle: Bool { phase == .idle }

    /// Whether the next part of input can be taken now; else it waits.
    var takesInput: Bool {
        switch phase {
        case .idle, .receiving, .discarding: true
        case .answering, .closing: false
        }
    }

    /// A request head has come.
    ///
    /// - Parameter keepsAlive: Whether the client lets the connection persist (RFC 9112 §9.3).
    mutating func receivedHead(keepsAlive: Bool) {
        precondition(phase == .idle, "a head comes between requests only")
        phase = .receiving
        self.keepsAlive = keepsAlive
    }

    /// What becomes of a part of a request's body.
    enum BodyAction: Equatable {
        case deliver
        case discard
        /// Too much to throw away: close.
        case close
    }

    /// Some bytes of the body have come.
    mutating func receivedBody(bytes: Int) -> BodyAction {
        switch phase {
        case .receiving: return .deliver
        case .discarding(let sofar):
            guard sofar + bytes <= Self.maxDiscardedBytes else {
                phase = .closing
                return .close
            }
            phase = .discarding(bytes: sofar + bytes)
            return .discard
        case .idle, .answering, .closing: return .discard
        }
    }

    /// What the end of a request means.
    enum EndAction: Equatable {
        case deliver
        /// It was answered already: the next request may come.
        case next
        case ignore
        case close
    }

    /// The request is complete.
    mutating func receivedEnd() -> EndAction {
        switch phase {
        case .receiving:
            phase = .answering
            return .deliver
        case .discarding:
            guard persists else {
                phase = .closing
                return .close
            }
            phase = .idle
            return .next
        case .idle, .answering, .closing:
            return .ignore
        }
    }

    /// Whether the answer that begins now has to say `Connection: close`.
    ///
    /// - Parameter mustClose: The answer itself ends the connection: its request cannot be read to the end.
    mutating func beginAnswer(mustClose: Bool) -> Bool {
        if mustClose || isQuiescing || inputIsClosed { keepsAlive = false }
        return !keepsAlive
    }

    /// What follows an answer that is written.
    enum AnswerAction: Equatable {
        /// The next request, which may be here already.
        case next
        /// The rest of this request has to be read first.
        case discardRest
        /// Close when the answer is flushed.
        case close
    }

    /// The answer is written.
    mutating func endAnswer() -> AnswerAction {
        switch phase {
        case .answering where persists:
            phase = .idle
            return .next
        case .receiving where persists:
            phase = .discarding(bytes: 0)
            return .discardRest
        default:
            phase = .closing
            return .close
        }
    }

    private var persists: Bool { keepsAlive && !isQuiescing && !inputIsClosed }

    /// The client sends no more.
    ///
    /// - Returns: Whether to close at once: nobody waits for an answer.
    mutating func inputClosed() -> Bool {
        inputIsClosed = true
        switch phase {
        case .answering, .closing: return false
        case .idle, .receiving, .discarding:
            phase = .closing
            return true
        }
    }

    /// The server stops: the request that is being served is the last.
    ///
    /// - Returns: Whether to close at once.
    mutating func quiesce() -> Bool {
        isQuiescing = true
        guard phase == .idle else { return false }
        phase = .closing
        return true
    }

    /// The input cannot be understood: one answer, then the end.
    ///
    /// - Returns: Whether that answer may be written; not in the middle of another one.
    mutating func failed() -> Bool {
        keepsAlive = false
        switch phase {
        case .idle, .receiving:
            phase = .answering
            return true
        case .answering, .discarding, .closing:
            phase = .closing
            return false
        }
    }
}
