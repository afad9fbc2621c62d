import DequeModule
import NIOCore
import Synchronization

/// Brings a request's body from the connection's event loop to whoever sends it on, with back-pressure.
///
/// Nothing is asked of the client before the first piece is asked for here; from then on the connection is to be read
/// until ``offer(_:)`` says that it is enough, and again after `onDemand`.
final class BodyInlet: Sendable {
    /// Bytes that may wait here before the connection is not read any more.
    static let maxWaitingBytes = 256 * 1024
    /// Bytes that are left when the connection is read again.
    static let resumesAtBytes = 64 * 1024

    private enum Ending {
        case whole
        case broken
    }

    private struct State {
        var pieces: Deque<ByteBuffer> = []
        var bytes = 0
        var isFlowing = false
        var isAbandoned = false
        var ending: Ending?
        var waiting: CheckedContinuation<ByteBuffer?, any Error>?
    }

    private let state = Mutex(State())
    private let onDemand: @Sendable () -> Void

    /// - Parameter onDemand: Called on any thread, never under a lock, when the connection is to be read.
    init(onDemand: @escaping @Sendable () -> Void) {
        self.onDemand = onDemand
    }

    // MARK: - The connection's side

    /// Takes a piece; false when the connection is not to be read on until `onDemand`.
    func offer(_ bytes: ByteBuffer) -> Bool {
        let (continuation, goesOn) = state.withLock { state -> (CheckedContinuation<ByteBuffer?, any Error>?, Bool) in
            guard !state.isAbandoned, state.ending == nil else { return (nil, true) }
            if let waiting = state.waiting {
                state.waiting = nil
                return (waiting, true)
            }
            state.pieces.append(bytes)
            state.bytes += bytes.readableBytes
            if state.bytes >= Self.maxWaitingBytes { state.isFlowing = false }
            return (nil, state.isFlowing)
        }
        continuation?.resume(returning: bytes)
        return goesOn
    }

    /// The body is complete.
    func finish() { end(.whole) }

    /// The body does not get complete.
    func fail() { end(.broken) }

    private func end(_ ending: Ending) {
        let waiting = state.withLock { state in
            if state.ending == nil { state.ending = ending }
            if state.ending == .broken { (state.pieces, state.bytes) = ([], 0) }
            return state.waiting.take()
        }
        switch ending {
        case .whole: waiting?.resume(returning: nil)
        case .broken: waiting?.resume(throwing: BodyBrokeOff())
        }
    }

    /// Whether the upstream waits for the client, and not the other way round.
    var isStarved: Bool { state.withLock { $0.waiting != nil } }

    /// Bytes that wait here.
    var waitingBytes: Int { state.withLock { $0.bytes } }

    // MARK: - The sender's side

    fileprivate func next() async throws -> ByteBuffer? {
        let (piece, ending, isWanted) = state.withLock { state -> (ByteBuffer?, Ending?, Bool) in
            let piece = state.pieces.popFirst()
            state.bytes -= piece?.readableBytes ?? 0
            let isWanted = !state.isFlowing && state.ending == nil && state.bytes <= Self.resumesAtBytes
            if isWanted { state.isFlowing = true }
            return (piece, state.ending, isWanted)
        }
        if isWanted { onDemand() }
        if let piece { return piece }
        switch ending {
        case .whole: return nil
        case .broken: throw BodyBrokeOff()
        case nil: return try await waitForMore()
        }
    }

    private func waitForMore() async throws -> ByteBuffer? {
        enum Outcome { case waits, piece(ByteBuffer), ended(Ending) }
        return try await withCheckedThrowingContinuation { continuation in
            let outcome: Outcome = state.withLock { state in
                if let piece = state.pieces.popFirst() {
                    state.bytes -= piece.readableBytes
                    return .piece(piece)
                }
                if let ending = state.ending { return .ended(ending) }
                state.waiting = continuation
                return .waits
            }
            switch outcome {
            case .waits: break
            case .piece(let piece): continuation.resume(returning: piece)
            case .ended(.whole): continuation.resume(returning: nil)
            case .ended(.broken): continuation.resume(throwing: BodyBrokeOff())
            }
        }
    }

    /// Nobody sends it on any more: what still comes is thrown away, so that the client gets on.
    fileprivate func abandon() {
        state.withLock { state in
            state.isAbandoned = true
            state.pieces = []
            state.bytes = 0
        }
        onDemand()
    }

    /// The body ended before it was complete.
    struct BodyBrokeOff: Error {}
}

/// The pieces of a request's body, to be read once.
struct RequestBodyPieces: AsyncSequence, Sendable {
    typealias Element = ByteBuffer
    typealias Failure = any Error

    let inlet: BodyInlet

    func makeAsyncIterator() -> Iterator { Iterator(inlet) }

    /// Reads the pieces; when it goes, nobody does any more.
    final class Iterator: AsyncIteratorProtocol {
        typealias Element = ByteBuffer
        typealias Failure = any Error

        private let inlet: BodyInlet

        init(_ inlet: BodyInlet) { self.inlet = inlet }

        deinit { inlet.abandon() }

        func next() async throws -> ByteBuffer? { try await inlet.next() }
    }
}
