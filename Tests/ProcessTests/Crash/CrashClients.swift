import NIOHTTP1
import Synchronization
import TestSupport

/// Clients that write to whatever relay there is, until they are stopped, and remember what they were told.
final class CrashClients: Sendable {
    private static let clientCount = 16
    private static let longestThoughtMilliseconds = 30
    private static let contactCount = 80
    /// Half of the writes go to these, so that their lanes have depth.
    private static let busyContactCount = 8

    private struct State {
        var relay: RelayProcess?
        var isStopped = false
        var writes: [CrashWrite] = []
        /// Answers with a receipt, which the books must therefore know of.
        var committed: Int64 = 0
    }

    /// All contacts, the busy ones first.
    let contacts = (0..<contactCount).map {
        "00000000-0000-4000-8000-" + String(String(1_000_000_000_000 + $0).dropFirst())
    }
    private let state = Mutex(State())

    /// Where to write to; nil while there is no relay.
    var relay: RelayProcess? {
        get { state.withLock { $0.relay } }
        set { state.withLock { $0.relay = newValue } }
    }

    /// All writes so far.
    var writes: [CrashWrite] { state.withLock { $0.writes } }

    /// How many writes have been answered as committed.
    var committed: Int64 { state.withLock { $0.committed } }

    /// Ends `run` when the writes under way have been answered.
    func stop() { state.withLock { $0.isStopped = true } }

    /// Writes until `stop`.
    func run(seed: UInt64) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for client in 0..<Self.clientCount {
                group.addTask {
                    var generator = SeededGenerator(seed: seed &+ UInt64(client))
                    while !self.state.withLock({ $0.isStopped }) { try await self.write(&generator) }
                }
            }
            try await group.waitForAll()
        }
    }

    private func write(_ generator: inout SeededGenerator) async throws {
        let thought = Int.random(in: 0...Self.longestThoughtMilliseconds, using: &generator)
        // Not to wait for anything: clients have other things to do as well.
        try await Task.sleep(for: .milliseconds(thought))
        let drawn = draw(&generator)
        let prefer = generator.chance(oneIn: 2) ? [("Prefer", "respond-async")] : []
        var relay: RelayProcess?
        try await eventually("a relay to write to") {
            relay = self.relay
            return relay != nil || state.withLock { $0.isStopped }
        }
        guard let relay else { return }
        let index = state.withLock { state in
            state.writes.append(drawn)
            state.writes[state.writes.count - 1].tag = "w\(state.writes.count - 1)"
            return state.writes.count - 1
        }
        // A connection that breaks off because the relay is killed leaves the fate of the write open.
        guard let answer = try? await send(drawn, tag: "w\(index)", prefer, to: relay) else { return }
        let outcome: CrashWrite.Outcome =
            (200..<300).contains(answer.status)
            ? .acknowledged(id: answer.write, status: answer.status)
            : .refused(id: answer.write, status: answer.status)
        state.withLock { state in
            state.writes[index].outcome = outcome
            if answer.write != nil { state.committed += 1 }
        }
    }

    private func draw(_ generator: inout SeededGenerator) -> CrashWrite {
        let range = generator.chance(oneIn: 2) ? 0..<Self.busyContactCount : 0..<Self.contactCount
        let contact = contacts[Int.random(in: range, using: &generator)]
        let key = CrashWrite.Key.allCases.randomElement(using: &generator) ?? .first
        if generator.chance(oneIn: 6) { return CrashWrite(tag: "", contact: contact, key: key, method: .delete) }
        var fields = Set(["first_name", "last_name", "timestamp", "date"].filter { _ in generator.chance(oneIn: 2) })
        if fields.isEmpty { fields = ["first_name"] }
        return CrashWrite(tag: "", contact: contact, key: key, method: .put, fields: fields)
    }

    private func send(
        _ write: CrashWrite,
        tag: String,
        _ prefer: [(String, String)],
        to relay: RelayProcess
    ) async throws -> Answer {
        let target = Samples.target(write.contact)
        switch write.method {
        case .delete:
            let headers = HTTPHeaders([("X-Dexatel-Key", write.key.rawValue)] + prefer)
            return try await relay.send(.DELETE, target + "?tag=" + tag, headers: headers)
        case .put:
            // Its values are its tag: a write with a query would not be superseded.
            let members = write.fields.sorted().map { "\"\($0)\":\"\(tag)\"" }.joined(separator: ",")
            let headers = Samples.headers(write.key.rawValue, prefer)
            return try await relay.send(.PUT, target, headers: headers, body: "{\"data\":{\(members)}}")
        }
    }
}
