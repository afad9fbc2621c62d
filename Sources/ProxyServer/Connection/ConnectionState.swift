/// What one HTTP/1.1 connection may do next: order, keep-alive, pipelining, back-pressure and limits (RFC 9112 §9).
///
/// A pure state machine: it knows neither bytes nor channels nor time. One request is served at a time; what a client
/// pipelines behind it waits.
struct ConnectionState: ~Copyable {
    /// Body bytes that are read and thrown away, to keep a connection, after a request was answered early.
    static let maxDiscardedBytes = 64 * 1024
    /// Bytes that are read and thrown away behind the last answer, so that the client gets to read that answer: closing
    /// with input unread resets the connection (RFC 9112 §9.6).
    static let maxLingeringBytes = 1024 * 1024

    private enum Phase: Equatable {
        /// Between requests.
        case idle
        /// A request is being served.
        case serving(Request, Answer)
        /// The answer went out before the request was here; the rest of it is thrown away.
        case discarding(bytes: Int)
        /// The last answer is out, and more input may come, which nobody wants.
        case lingering(bytes: Int)
        /// The connection ends, as soon as the last answer is on its way.
        case closing
    }

    private enum Request: Equatable {
        /// Its body is coming in.
        case incoming
        /// It is here.
        case complete
        /// The rest of it cannot be understood, or does not come.
        case broken
    }

    private enum Answer: Equatable {
        case awaited
        /// It is streamed; `remaining` bytes of its body are still owed, if their number was announced.
        case begun(remaining: Int?)
    }

    private var phase = Phase.idle
    private var keepsAlive = true
    private var isQuiescing = false
    private var inputIsClosed = false
    private var isPaused = false
    private var isWritable = true
    private var awaitsContinue = false
    /// What is still to come of the request's body; nil where nobody knows.
    private var bodyBytesLeft: Int? = 0

    /// Whether nothing is being served: the connection may be closed at any time.
    var isIdle: Bool { phase == .idle }

    /// Whether the last answer is out and only the client's end is awaited.
    var isLingering: Bool { if case .lingering = phase { true } else { false } }

    /// Whether nothing more is said or heard.
    var isClosing: Bool { phase == .closing }

    /// Whether the next part of input can be taken now; else it waits.
    var takesInput: Bool {
        switch phase {
        // A client that pipelines without reading its answers must not fill the memory with them.
        case .idle: isWritable
        case .serving(.incoming, _): !isPaused
        case .discarding, .lingering: true
        case .serving, .closing: false
        }
    }

    /// Whether nothing more is to be read from the client for now.
    var holdsBackReads: Bool {
        switch phase {
        case .idle: !isWritable
        case .serving(.incoming, _): isPaused
        case .serving, .discarding, .lingering, .closing: false
        }
    }

    // MARK: - Requests

    /// A request head has come.
    ///
    /// - Parameters:
    ///   - keepsAlive: Whether the client lets the connection persist (RFC 9112 §9.3).
    ///   - expectsContinue: Whether the client holds its body back until it is asked for it (RFC 9110 §10.1.1).
    ///   - bodyBytes: How long the body is; nil if only its end will tell.
    /// - Returns: Whether to serve it; a connection that is about to end throws it away.
    mutating func receivedHead(keepsAlive: Bool, expectsContinue: Bool = false, bodyBytes: Int? = 0) -> Bool {
        guard phase == .idle else {
            precondition(isLingering, "a head comes between requests only")
            return false
        }
        phase = .serving(.incoming, .awaited)
        self.keepsAlive = keepsAlive
        awaitsContinue = expectsContinue
        bodyBytesLeft = bodyBytes
        isPaused = false
        return true
    }

    /// What becomes of a part of a request's body.
    enum BodyAction: Equatable {
        case deliver
        case discard
        /// Too much to throw away for the connection's sake: no answer follows any more.
        case linger
        /// Far too much to throw away.
        case close
    }

    /// Some bytes of the body have come.
    mutating func receivedBody(bytes: Int) -> BodyAction {
        switch phase {
        case .serving(.incoming, _):
            // A client that does not wait need not be asked.
            awaitsContinue = false
            if let left = bodyBytesLeft { bodyBytesLeft = left - bytes }
            return .deliver
        case .discarding(let sofar):
            guard sofar + bytes > Self.maxDiscardedBytes else {
                phase = .discarding(bytes: sofar + bytes)
                return .discard
            }
            phase = .lingering(bytes: 0)
            return .linger
        case .lingering(let sofar):
            guard sofar + bytes > Self.maxLingeringBytes else {
                phase = .lingering(bytes: sofar + bytes)
                return .discard
            }
            phase = .closing
            return .close
        case .idle, .serving, .closing: return .discard
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
        case .serving(.incoming, let answer):
            phase = .serving(.complete, answer)
            return .deliver
        case .discarding:
            guard persists else {
                phase = .closing
                return .close
            }
            phase = .idle
            return .next
        case .idle, .serving, .lingering, .closing:
            return .ignore
        }
    }

    /// The request's body is wanted.
    ///
    /// - Returns: Whether the client has to be told (RFC 9110 §10.1.1): at most once, and not after the answer began.
    mutating func wantsBody() -> Bool {
        guard awaitsContinue, case .serving(.incoming, .awaited) = phase else { return false }
        awaitsContinue = false
        return true
    }

    /// Whoever is served can take no more of the request's body for now.
    mutating func pauseInput() {
        if case .serving(.incoming, _) = phase { isPaused = true }
    }

    /// Whoever is served can take more of the request's body.
    ///
    /// - Returns: Whether that changes anything.
    mutating func resumeInput() -> Bool {
        defer { isPaused = false }
        return isPaused
    }

    // MARK: - Answers

    /// Whether an interim answer may go out: before the final one has begun.
    var takesInterimAnswers: Bool {
        if case .serving(_, .awaited) = phase { true } else { false }
    }

    /// A whole answer, or one that is streamed, begins.
    ///
    /// - Parameter mustClose: The answer itself ends the connection.
    /// - Returns: Whether it has to say `Connection: close`.
    mutating func beginAnswer(mustClose: Bool) -> Bool {
        if case .serving(.incoming, _) = phase, awaitsContinue || mayBeTooMuchToDiscard {
            // Nobody knows whether the body will follow, or more of it would follow than is read for the connection's
            // sake: a client that is not told would send its next request into the end.
            keepsAlive = false
        }
        if mustClose || isQuiescing || inputIsClosed { keepsAlive = false }
        return !keepsAlive
    }

    /// The answer's body comes in pieces.
    ///
    /// - Parameter bytes: How many bytes were announced, if the number is known.
    mutating func streamsAnswer(bytes: Int?) {
        guard case .serving(let request, .awaited) = phase else {
            preconditionFailure("a request has one answer")
        }
        phase = .serving(request, .begun(remaining: bytes))
    }

    /// Some bytes of the answer's body are about to be written.
    ///
    /// - Returns: Whether they may be: an answer must not be longer than it said.
    mutating func writesAnswer(bytes: Int) -> Bool {
        guard case .serving(let request, .begun(let remaining)) = phase else { return false }
        guard let remaining else { return true }
        guard bytes <= remaining else { return false }
        phase = .serving(request, .begun(remaining: remaining - bytes))
        return true
    }

    /// What follows an answer that is written.
    enum AnswerAction: Equatable {
        /// The next request, which may be here already.
        case next
        /// The rest of this request has to be read first.
        case discardRest
        /// Say no more when the answer is flushed, but let the client say the rest.
        case linger
        /// Close when the answer is flushed.
        case close
        /// The answer is shorter than it said: it must not look complete.
        case abort
    }

    /// The answer is written.
    mutating func endAnswer() -> AnswerAction {
        isPaused = false
        guard case .serving(let request, let answer) = phase else {
            phase = .closing
            return .close
        }
        if case .begun(let remaining?) = answer, remaining > 0 {
            phase = .closing
            return .abort
        }
        switch request {
        case .complete where persists:
            phase = .idle
            return .next
        case .incoming where persists:
            phase = .discarding(bytes: 0)
            return .discardRest
        case .incoming where !inputIsClosed, .broken where !inputIsClosed:
            phase = .lingering(bytes: 0)
            return .linger
        case .complete, .incoming, .broken:
            phase = .closing
            return .close
        }
    }

    /// The answer breaks off: nothing more is written or read.
    mutating func abort() {
        phase = .closing
    }

    private var mayBeTooMuchToDiscard: Bool { (bodyBytesLeft ?? .max) > Self.maxDiscardedBytes }

    private var persists: Bool { keepsAlive && !isQuiescing && !inputIsClosed }

    /// The client reads on, or has stopped reading.
    mutating func writabilityChanged(_ isWritable: Bool) {
        self.isWritable = isWritable
    }

    // MARK: - Ends

    /// The client sends no more.
    ///
    /// - Returns: Whether to close at once: nobody waits for an answer.
    mutating func inputClosed() -> Bool {
        inputIsClosed = true
        switch phase {
        case .serving(.complete, _), .serving(.broken, _), .closing: return false
        case .idle, .serving(.incoming, _), .discarding, .lingering:
            phase = .closing
            return true
        }
    }

    /// The server stops: the request that is being served, or the next one of an idle client, is the last.
    mutating func quiesce() {
        isQuiescing = true
    }

    /// The server stops, and an idle client has had its time for one more request.
    ///
    /// - Returns: Whether to close: nothing is being served.
    mutating func endIdle() -> Bool {
        guard isQuiescing, phase == .idle else { return false }
        phase = .closing
        return true
    }

    /// What follows when the input cannot be understood, or has stopped in the middle of a request.
    enum FailureAction: Equatable {
        /// One answer, which is the last.
        case answer
        /// The answer that has begun breaks off.
        case abort
        case close
    }

    /// The input cannot be understood, or has stopped in the middle of a request.
    mutating func failed() -> FailureAction {
        keepsAlive = false
        awaitsContinue = false
        switch phase {
        case .idle, .serving(_, .awaited):
            phase = .serving(.broken, .awaited)
            return .answer
        case .serving(_, .begun):
            phase = .closing
            return .abort
        case .discarding, .lingering, .closing:
            phase = .closing
            return .close
        }
    }
}
