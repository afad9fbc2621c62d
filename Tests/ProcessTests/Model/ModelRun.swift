import AdminAPI
import Foundation
import NIOHTTP1
import TestSupport

/// One run: lets clients read and write while the upstream misbehaves, then gathers the evidence.
struct ModelRun {
    private static let clients: [ModelKey] = [
        .first, .first, .second, .second, .revocable, .revocable, .watcher, .watcher, .stranger,
    ]
    private static let contactCount = 60
    /// Receipts that are asked for at a time.
    private static let receiptReaders = 4

    private static let settings = [
        "writes.reply_wait": "300ms", "writes.hold_probe": "100ms", "writes.retry.max_retry_after": "300ms",
        "upstream.request_timeout": "\(CrashRun.requestTimeoutMilliseconds)ms", "upstream.connect_timeout": "200ms",
        "writes.max_pending_unverified_per_key": "1000000", "writes.max_pending_unverified": "1000000",
        // Short lives and little room, so that replies are confirmed, evicted, and found on disk again.
        "reads.default_ttl": "1s", "reads.negative_ttl": "1s", "reads.memory": "1MiB",
    ]

    private let sandbox: Sandbox
    private let simulator: SimulatorProcess
    private let relay: RelayProcess
    private let board: ModelBoard
    private var generator: SeededGenerator

    init(in sandbox: Sandbox, generator: SeededGenerator, replies: Int) async throws {
        self.sandbox = sandbox
        self.generator = generator
        simulator = try await SimulatorProcess(
            in: sandbox,
            flags: [
                "--seed-contacts", "\(Self.contactCount)", "--etag", "--forbidden-key", ModelKey.stranger.value,
            ]
        )
        // In this order, so that the log's numbers of keys are known.
        for key in ModelKey.allCases { _ = try await simulator.send(.GET, key: key.value) }
        let page = try await simulator.send(.GET, "/v1/audiences/\(Samples.audience)/contacts?page_size=100")
        let contacts = ModelReply.contacts(page.body, isPage: true).map(\.id)
        relay = try await RelayProcess(in: sandbox, upstream: simulator, Self.settings)
        board = ModelBoard(
            contacts: contacts,
            owners: contacts.indices.map { Self.clients[$0 % Self.writerCount] },
            port: relay.port,
            replies: replies
        )
    }

    private static var writerCount: Int { clients.count { ModelKey.writers.contains($0) } }

    /// Runs it all.
    mutating func result() async throws -> ModelResult {
        var result = ModelResult()
        result.startedAt = ISO8601DateFormatter().string(from: Date())
        result.seed = generator.seed
        let begin = ContinuousClock.now
        var (history, tally) = try await underWeather()
        result.readingSeconds = Int((ContinuousClock.now - begin) / .seconds(1))
        try await gatherEvidence(&history)
        let audit = ModelAudit(history)
        result.tally = tally
        result.tally.pages = history.readings.count { $0.pageSize > 0 }
        result.story = audit.story
        result.findings = audit.findings + (try await atRest(history))
        result.durationSeconds = Int((ContinuousClock.now - begin) / .seconds(1))
        return result
    }

    // MARK: - Under way

    private mutating func underWeather() async throws -> (ModelHistory, ModelTally) {
        let board = board
        let seed = generator.next()
        let running = Task {
            try await withThrowingTaskGroup(of: (ModelHistory, ModelTally).self) { group in
                for (number, key) in Self.clients.enumerated() {
                    let own = board.contacts.indices.filter {
                        ModelKey.writers.contains(key) && $0 % Self.writerCount == number
                    }
                    group.addTask {
                        try await Self.onThread {
                            var client = try ModelClient(key, own: own, board: board, seed: seed &+ UInt64(number))
                            defer { board.stop() }
                            try client.run()
                            return (client.history, client.tally)
                        }
                    }
                }
                var history = ModelHistory()
                var tally = ModelTally()
                for try await (part, count) in group {
                    history.writes += part.writes
                    history.readings += part.readings
                    history.refusals += part.refusals
                    history.findings += part.findings
                    tally += count
                }
                return (history, tally)
            }
        }
        defer { board.stop() }
        var isFair = true
        while !board.isOver {
            if isFair {
                try await simulator.clearFaults()
                // Else a breaker whose probes met bad weather by chance would stay open for the whole of a quick run.
                try await eventually("the relay to believe in the upstream", within: .seconds(90)) {
                    try await relay.status().upstream.state == "closed" || board.isOver
                }
            } else {
                try await simulator.setFaults(CrashWeather(using: &generator, contacts: board.contacts).json)
            }
            isFair = !isFair
            // The weather changes by the number of replies, so that it is the same for quick and slow machines.
            let until = board.replyCount + Int.random(in: 50...400, using: &generator)
            let latest = ContinuousClock.now + .seconds(2)
            try await eventually("further replies") {
                board.replyCount >= until || board.isOver || ContinuousClock.now >= latest
            }
        }
        try await simulator.clearFaults()
        return try await running.value
    }

    /// Lets blocking work have a thread of its own.
    private static func onThread<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) async throws -> Value
    {
        try await withCheckedThrowingContinuation { continuation in
            Thread { continuation.resume(with: Result { try work() }) }.start()
        }
    }

    // MARK: - Evidence

    private func gatherEvidence(_ history: inout ModelHistory) async throws {
        history.owners = board.owners
        history.writes.sort { $0.number < $1.number }
        try await succeedWithEveryKey()
        try await eventually("the end of every write", within: .seconds(180)) {
            let books = try await relay.status().outbox
            return books.pending == books.held
        }
        let owners = board.owners
        let wanted = history.writes.compactMap { write -> (id: String, key: ModelKey)? in
            guard case .acknowledged(let id?, 202) = write.outcome else { return nil }
            return (id, owners[write.contact])
        }
        let port = relay.port
        try await withThrowingTaskGroup(of: [(String, String)].self) { group in
            for reader in 0..<Self.receiptReaders {
                let mine = wanted.indices.filter { $0 % Self.receiptReaders == reader }.map { wanted[$0] }
                group.addTask { try await Self.onThread { try Self.states(mine, port) } }
            }
            for try await states in group { history.states.merge(states) { $1 } }
        }
        for entry in try await simulator.log() { note(entry, in: &history) }
    }

    /// Wakes what is held for a key that was refused.
    private func succeedWithEveryKey() async throws {
        for key in ModelKey.writers {
            try await eventually("\(key) to be let in", within: .seconds(180)) {
                let answer = try await relay.send(
                    .GET,
                    Samples.target,
                    headers: ["X-Dexatel-Key": key.value, "Cache-Control": "no-cache"]
                )
                return [200, 404].contains(answer.status)
            }
        }
    }

    private static func states(_ wanted: [(id: String, key: ModelKey)], _ port: Int) throws -> [(String, String)] {
        let connection = try KeepAliveConnection(port: port)
        return try wanted.map { id, key in
            let answer = try connection.exchange(
                "GET /_relay/writes/\(id) HTTP/1.1\r\nHost: 127.0.0.1:\(port)\r\nX-Dexatel-Key: \(key.value)\r\n\r\n"
            )
            return (id, try answer.decoded(Receipt.self).state)
        }
    }

    private func note(_ entry: LogEntry, in history: inout ModelHistory) {
        let at = entry.timeMs * 1_000
        if let index = entry.keyIndex, let key = ModelKey(rawValue: index) {
            history.attempts[key, default: []].append((at, entry.status))
        }
        guard let tag = CrashAttempt(entry)?.tag, let number = Int(tag.dropFirst()) else { return }
        if entry.applied { history.applied[number] = min(history.applied[number] ?? .max, at) }
        history.lastAttempt[number] = at
    }

    // MARK: - At rest

    /// When all is over, everybody sees what the upstream has, and nothing besides.
    private func atRest(_ history: ModelHistory) async throws -> [String] {
        var held: Set<Int> = []
        for write in history.writes {
            if case .acknowledged(let id?, 202) = write.outcome, history.states[id] == "held" {
                held.insert(write.contact)
            }
        }
        var findings: [String] = []
        for (place, contact) in board.contacts.enumerated() where !held.contains(place) {
            let target = Samples.target(contact)
            let truth = try await simulator.send(.GET, target)
            for key in ModelKey.allCases where key != .stranger {
                for fields in [[("Cache-Control", "no-cache")], []] {
                    let headers = [("X-Dexatel-Key", key.value)] + fields
                    let answer = try await relay.send(.GET, target, headers: .init(headers))
                    let isSame = answer.status == truth.status && (answer.status != 200 || answer.body == truth.body)
                    if !isSame { findings.append("\(key) sees \(answer.text) at last, and there is \(truth.text)") }
                    if ModelReply(answer).pending > 0 {
                        findings.append("\(key) is told of pending writes to \(contact)")
                    }
                }
            }
        }
        return findings
    }
}
