import NIOCore
import ResponseCache
import Synchronization

/// One request to the upstream, and all clients that are answered with what it brings: the leader, whose read has begun it,
/// and its followers.
///
/// They read from one body while it arrives, each at its own pace. No client's hang-up cancels a flight whose reply can be
/// stored; one whose reply is for its readers alone ends with the last of them.
///
/// A reply that can be stored is kept whole until its end, `reads.max_object` at most. One that turns out to be longer is
/// a stream from then on: it moves at the pace of its fastest reader, and a reader that is more than that bound behind is
/// broken off.
final class Flight: Sendable {
    /// Bytes of a stream that may wait for its fastest reader before the upstream is not read any more.
    static let maxWaitingBytes = 256 << 10
    /// Bytes that are left when the upstream is read again.
    static let resumesAtBytes = 64 << 10

    /// When it began, on the cache's count of what happens to a key.
    let token: FetchToken

    private struct Reader {
        let isLeader: Bool
        let tell: @Sendable (FlightNews) -> Void
        /// How much of the body it has; nil as long as it takes the reply as a whole.
        var position: Int?
    }

    /// What the fetch is asked for.
    enum Demand: Sendable {
        /// The readers take more again.
        case goOn
        /// Nobody reads any more.
        case stop
    }

    private struct State {
        var takesFollowers = true
        var isOver = false
        var isWhole = false
        var head: FlightHead?
        var body = SharedBody()
        var nextReader: UInt64 = 0
        var readers: [UInt64: Reader] = [:]
        /// How far a reader of a stream may be behind; nil while everything is kept.
        var maxLagBytes: Int?
        var isPaused = false
        var demand: (@Sendable (Demand) -> Void)?

        /// The positions of those that the body is kept for.
        var fastest: Int? { readers.values.compactMap(\.position).max() }

        /// Whether a reader takes the body as it comes.
        func isStreaming(_ reader: Reader) -> Bool { head != nil && reader.position != nil }

        mutating func trim() {
            guard let maxLagBytes else { return }
            let slowest = readers.values.map { $0.position ?? 0 }.min() ?? body.end
            body.drop(before: max(slowest, min(fastest ?? 0, body.end - maxLagBytes)))
        }
    }

    private let state = Mutex(State())
    private let sent = Mutex(Sent())
    /// The latest of the requests that were sent after this one's, or may have been, and whose replies are stored.
    private let overtakenBy = Atomic<UInt64>(0)
    private let queued: Atomic<Bool>
    /// Whether its reply is for the one request alone that has brought it about; the table does not know it then.
    let isForOne: Bool

    /// - Parameters:
    ///   - isQueued: Whether it has not begun: nobody follows it until then.
    ///   - isForOne: Whether its reply will not be stored, so that nobody is to wait for it.
    init(token: FetchToken, isQueued: Bool = false, isForOne: Bool = false) {
        self.token = token
        self.isForOne = isForOne
        queued = Atomic(isQueued)
    }

    var isQueued: Bool { queued.load(ordering: .acquiring) }

    func begin() { queued.store(false, ordering: .releasing) }

    // MARK: - Order

    /// When the request went out last.
    private struct Sent {
        /// Its place among all requests that were sent; 0 until it is.
        var order: UInt64 = 0
        var milliseconds: Int64 = 0
    }

    private static let sends = Atomic<UInt64>(0)

    /// Notes that the request goes out: what its reply knows depends on that moment, not on when it was asked for.
    func noteSent(_ milliseconds: Int64) {
        let order = Self.sends.add(1, ordering: .relaxed).newValue
        sent.withLock { $0 = Sent(order: order, milliseconds: milliseconds) }
    }

    /// When the request went out last, on the reads' clock.
    var sentMilliseconds: Int64 { sent.withLock { $0.milliseconds } }

    private var sentOrder: UInt64 { sent.withLock { $0.order } }

    /// Whether the reply to a request that was sent later has been stored: this one's is older, and not to be stored any more.
    var isOvertaken: Bool { overtakenBy.load(ordering: .acquiring) > sentOrder }

    func overtake(by other: Flight) { overtakenBy.max(other.sentOrder, ordering: .acquiringAndReleasing) }

    // MARK: - The readers' side

    /// Adds a reader.
    ///
    /// - Parameters:
    ///   - takesPieces: Whether it reads the body as it comes, from ``next(_:)``; else it waits for the outcome.
    ///   - tell: Called on any thread, never under a lock.
    /// - Returns: The reader's number, and the head where that is there; nil when it is too late: nobody is called then.
    func attach(
        isLeader: Bool,
        takesPieces: Bool,
        _ tell: @escaping @Sendable (FlightNews) -> Void
    ) -> (reader: UInt64, head: FlightHead?)? {
        state.withLock { state in
            guard isLeader || state.takesFollowers else { return nil }
            state.nextReader += 1
            state.readers[state.nextReader] = Reader(
                isLeader: isLeader,
                tell: tell,
                position: takesPieces ? 0 : nil
            )
            return (state.nextReader, state.head)
        }
    }

    /// Takes a reader out; news may be on their way to it.
    func leave(_ reader: UInt64) {
        // The closure goes outside of the lock.
        let (_, demand, change) = state.withLock { state in
            let gone = state.readers.removeValue(forKey: reader)
            guard state.maxLagBytes != nil, !state.isOver else { return (gone, state.demand, Demand?.none) }
            if state.readers.isEmpty { return (gone, state.demand, Demand.stop) }
            return (gone, state.demand, Self.relieve(&state))
        }
        if let change { demand?(change) }
    }

    /// What a reader gets next.
    enum Next {
        case bytes(ByteBuffer)
        /// There is nothing yet: ``FlightNews/more`` will say when there is.
        case nothing
        case end
        /// The reply has broken off, or the reader is too far behind.
        case broken
    }

    /// The next bytes of the body.
    func next(_ reader: UInt64) -> Next {
        let (next, demand, change) = state.withLock { state -> (Next, (@Sendable (Demand) -> Void)?, Demand?) in
            guard let position = state.readers[reader]?.position, position >= state.body.start else {
                return (.broken, nil, nil)
            }
            guard let bytes = state.body.bytes(from: position) else {
                return (state.isOver ? state.isWhole ? .end : .broken : .nothing, nil, nil)
            }
            state.readers[reader]?.position = position + bytes.readableBytes
            return (.bytes(bytes), state.demand, Self.relieve(&state))
        }
        if let change { demand?(change) }
        return next
    }

    private static func relieve(_ state: inout State) -> Demand? {
        state.trim()
        guard state.isPaused, state.body.end - (state.fastest ?? 0) <= resumesAtBytes else { return nil }
        state.isPaused = false
        return .goOn
    }

    // MARK: - The fetch's side

    /// Sets what is called, on any thread and never under a lock, when the readers' demand changes.
    func setDemand(_ demand: @escaping @Sendable (Demand) -> Void) { state.withLock { $0.demand = demand } }

    /// Tells the leader of an interim reply.
    func interim(_ answer: InterimAnswer) {
        state.withLock { $0.readers.values.first { $0.isLeader }?.tell }?(.interim(answer))
    }

    /// Shows the head of a reply to its readers, who may read the body from now on.
    func show(_ head: FlightHead) {
        let readers = state.withLock { state in
            state.head = head
            return state.readers.values.map(\.tell)
        }
        for tell in readers { tell(.head(head)) }
    }

    /// Makes a stream of the reply: what is read by all is let go.
    ///
    /// It ends the waiting of followers that take replies as a whole, or have not got the head yet.
    ///
    /// - Parameter maxLagBytes: How far readers may be behind.
    /// - Returns: Whether there is a reader left.
    func stream(maxLagBytes: Int) -> Bool {
        let (dismissed, isRead) = state.withLock { state in
            state.takesFollowers = false
            state.maxLagBytes = max(maxLagBytes, Self.maxWaitingBytes)
            let gone = state.readers.filter { !$0.value.isLeader && !state.isStreaming($0.value) }
            for number in gone.keys { state.readers[number] = nil }
            return (gone.values.map(\.tell), !state.readers.isEmpty)
        }
        for tell in dismissed { tell(.over(.notShared)) }
        return isRead
    }

    /// Has a leader that waits for the whole take the body as it comes.
    func hurryLeader(_ head: FlightHead) {
        let leader = state.withLock { state -> (@Sendable (FlightNews) -> Void)? in
            state.head = head
            guard let (number, reader) = state.readers.first(where: { $0.value.isLeader && $0.value.position == nil })
            else { return nil }
            state.readers[number]?.position = 0
            return reader.tell
        }
        leader?(.tooLong(head))
    }

    /// Takes the next bytes of the body.
    ///
    /// - Returns: Whether the upstream is not to be read until it is demanded.
    func append(_ bytes: ByteBuffer) -> Bool {
        let readers = state.withLock { state in
            state.body.append(bytes)
            return state.readers.values.filter(state.isStreaming).map(\.tell)
        }
        for tell in readers { tell(.more) }
        return state.withLock { state in
            state.trim()
            guard state.maxLagBytes != nil, let fastest = state.fastest,
                state.body.end - fastest >= Self.maxWaitingBytes
            else { return false }
            state.isPaused = true
            return true
        }
    }

    /// The length of the body so far.
    var bodyBytes: Int { state.withLock { $0.body.end } }

    /// The body, as long as it is kept whole.
    var body: ByteBuffer { state.withLock { $0.body.whole } }

    /// Whether some client is being answered as the body comes.
    var isStreamed: Bool { state.withLock { state in state.readers.values.contains(where: state.isStreaming) } }

    /// Ends it, once.
    ///
    /// - Parameters:
    ///   - outcome: What all get that wait for it.
    ///   - leaders: What the leader gets, where that is something else.
    ///   - isWhole: Whether those that read the body as it came have it all.
    func end(_ outcome: FlightOutcome, leaders: FlightOutcome? = nil, isWhole: Bool = false) {
        let readers = state.withLock { state -> [(tell: @Sendable (FlightNews) -> Void, news: FlightNews)] in
            guard !state.isOver else { return [] }
            (state.isOver, state.isWhole, state.takesFollowers, state.demand) = (true, isWhole, false, nil)
            return state.readers.values.map { reader in
                (reader.tell, state.isStreaming(reader) ? .more : .over(reader.isLeader ? leaders ?? outcome : outcome))
            }
        }
        for reader in readers { reader.tell(reader.news) }
    }
}
