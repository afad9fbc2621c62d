/// The life of one connection, exchange after exchange: events go in, actions come out.
///
/// It has no I/O and no clock. The bytes of replies are read by ``ReplyParser``, whose events come in here.
struct ExchangeState {
    private enum Request: Hashable { case sending, sent }
    private enum Reply: Hashable { case awaited, begun }

    private enum State: Hashable {
        /// Nothing is asked; whatever arrives is unsolicited.
        case idle
        case exchanging(Request, Reply)
        case closed
    }

    /// What an arriving head means.
    enum HeadAction: Hashable {
        /// Hand it on; the final one is still to come.
        case deliverInterim
        /// Hand it on; the body follows.
        case deliver
        /// End the exchange and the connection.
        case fail(String)
    }

    /// What becomes of the connection when an exchange is over.
    enum Afterwards: Hashable {
        case keep
        case close
    }

    /// What the end of the connection means for its exchange.
    enum ClosingAction: Hashable {
        /// Nothing was under way.
        case none
        /// No byte of a reply had come; on a connection that was used before, that is a stale one.
        case brokeBeforeReply(isReused: Bool)
        /// The reply broke off.
        case brokeWithinReply
    }

    private var state = State.idle
    private var isPersistent = true
    private var hasReceivedBytes = false
    /// How many exchanges were begun here.
    private(set) var exchanges = 0

    /// Whether an exchange may begin.
    var isIdle: Bool { self.state == .idle }

    /// Whether the request's body is still being sent.
    var isSending: Bool {
        if case .exchanging(.sending, _) = self.state { true } else { false }
    }

    /// Begins an exchange on an idle connection.
    ///
    /// - Parameter isStreamed: Whether the request's body is still to come.
    mutating func begin(isStreamed: Bool) {
        precondition(self.state == .idle, "an exchange begins on an idle connection")
        self.state = .exchanging(isStreamed ? .sending : .sent, .awaited)
        self.isPersistent = true
        self.hasReceivedBytes = false
        self.exchanges += 1
    }

    /// Notes that the last byte of the request was written.
    mutating func requestEnded() {
        guard case .exchanging(.sending, let reply) = self.state else { return }
        self.state = .exchanging(.sent, reply)
    }

    /// Notes arriving bytes; false when no exchange awaits any: the connection is closed then.
    mutating func bytesArrived() -> Bool {
        guard case .exchanging = self.state else {
            self.state = .closed
            return false
        }
        self.hasReceivedBytes = true
        return true
    }

    /// Takes the head of a reply.
    mutating func headArrived(_ head: ReceivedHead) -> HeadAction {
        guard case .exchanging(let request, .awaited) = self.state else { return .fail("an unexpected reply") }
        if head.status == 101 { return .fail("switched to a protocol that was not offered") }
        if head.isInterim { return .deliverInterim }
        self.state = .exchanging(request, .begun)
        self.isPersistent = head.isPersistent && head.framing != .untilClose
        return .deliver
    }

    /// Takes the end of the reply.
    ///
    /// - Parameter hasMore: Whether unsolicited bytes follow.
    mutating func replyEnded(hasMore: Bool) -> Afterwards {
        guard case .exchanging(let request, .begun) = self.state else {
            self.state = .closed
            return .close
        }
        // A reply that came before the request was whole leaves the rest of that on the connection (RFC 9112 §9.3).
        guard request == .sent, self.isPersistent, !hasMore else {
            self.state = .closed
            return .close
        }
        self.state = .idle
        return .keep
    }

    /// Takes the end of the connection, whoever ended it.
    mutating func closed() -> ClosingAction {
        defer { self.state = .closed }
        guard case .exchanging = self.state else { return .none }
        return self.hasReceivedBytes ? .brokeWithinReply : .brokeBeforeReply(isReused: self.exchanges > 1)
    }
}
