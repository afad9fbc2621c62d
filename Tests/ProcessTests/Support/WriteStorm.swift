import NIOHTTP1
import Synchronization
import TestSupport

/// Many writes by several clients at a time, and what befalls them meanwhile; the same for the same seed.
final class WriteStorm: Sendable {
    static let writeCount = 2_000
    private static let contactCount = 200
    private static let clientCount = 6
    private static let killCount = 5

    /// Something that happens once so many writes have been tried.
    struct Event: Sendable {
        enum Kind: Sendable {
            case upstreamDown
            case upstreamUp
            case kill
        }

        var afterAttempts: Int
        var kind: Kind
    }

    private struct State {
        var endpoint: RelayProcess?
        var next = 0
        var attempts = 0
        var acknowledged: [(tag: String, write: String)] = []
    }

    /// In the order in which they happen; the upstream is up in the end.
    let events: [Event]
    private let contacts: [String]
    private let state = Mutex(State())

    init(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        contacts = (0..<Self.writeCount).map { _ in
            Self.contact(Int.random(in: 0..<Self.contactCount, using: &generator))
        }
        var events: [Event] = []
        for kill in 1...Self.killCount {
            let share = Self.writeCount / (Self.killCount + 1)
            let jitter = Int.random(in: -share / 3...share / 3, using: &generator)
            events.append(Event(afterAttempts: kill * share + jitter, kind: .kill))
        }
        var at = 0
        var isUp = true
        while true {
            at += Int.random(in: 100...350, using: &generator)
            guard at < Self.writeCount else { break }
            events.append(Event(afterAttempts: at, kind: isUp ? .upstreamDown : .upstreamUp))
            isUp.toggle()
        }
        events.sort { $0.afterAttempts < $1.afterAttempts }
        if !isUp { events.append(Event(afterAttempts: Self.writeCount, kind: .upstreamUp)) }
        self.events = events
    }

    private static func contact(_ number: Int) -> String {
        "00000000-0000-4000-8000-" + String(String(1_000_000_000_000 + number).dropFirst())
    }

    /// Where the relay is; nil while there is none.
    var endpoint: RelayProcess? {
        get { state.withLock { $0.endpoint } }
        set { state.withLock { $0.endpoint = newValue } }
    }

    /// Writes that have been tried so far.
    var attempts: Int { state.withLock { $0.attempts } }

    /// The writes that got a 2xx, with their receipts.
    var acknowledged: [(tag: String, write: String)] { state.withLock { $0.acknowledged } }

    /// Makes all writes, each once; ends early, with an error, at any answer that is neither a 2xx nor a lost connection.
    func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<Self.clientCount {
                group.addTask { while let number = self.takeNext() { try await self.write(number) } }
            }
            try await group.waitForAll()
        }
    }

    private func takeNext() -> Int? {
        state.withLock { state in
            guard state.next < Self.writeCount else { return nil }
            defer { state.next += 1 }
            return state.next
        }
    }

    private func write(_ number: Int) async throws {
        var relay: RelayProcess?
        try await eventually("a relay to write to") {
            relay = endpoint
            return relay != nil
        }
        defer { state.withLock { $0.attempts += 1 } }
        let tag = "w\(number)"
        // A connection that breaks because the relay is killed leaves the write's fate open: it is not repeated.
        guard let answer = try? await relay?.put(tag, to: contacts[number]) else { return }
        guard (200..<300).contains(answer.status), let write = answer.write else {
            throw DeadlinePassed(description: "\(tag) was answered \(answer.status): \(answer.text)")
        }
        state.withLock { $0.acknowledged.append((tag, write)) }
    }
}
