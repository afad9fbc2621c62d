import AdminAPI
import Foundation
import Glibc
import TestSupport

/// One run: kills the relay again and again under writes and bad weather, then gathers the evidence.
actor CrashRun {
    /// How long the relay waits for the upstream; short, so that a black hole does not last.
    static let requestTimeoutMilliseconds = 250
    /// Receipts that are asked for at a time.
    private static let receiptReaders = 6
    /// Entries of the upstream's log that are read at a time.
    private static let logPage = 20_000

    private static let settings = [
        "writes.reply_wait": "300ms", "writes.hold_probe": "100ms", "writes.retry.max_retry_after": "300ms",
        "upstream.request_timeout": "\(requestTimeoutMilliseconds)ms", "upstream.connect_timeout": "200ms",
        // Most of it comes before a key has ever succeeded upstream, in some weathers.
        "writes.max_pending_unverified_per_key": "1000000", "writes.max_pending_unverified": "1000000",
    ]

    private let sandbox: Sandbox
    private let simulator: SimulatorProcess
    private let clients = CrashClients()
    private let kills: Int
    private var generator: SeededGenerator
    private var accepted: Int64 = 0
    private var starts: [Duration] = []
    private var killsDuringStart = 0
    private var longestBacklog: Int64 = 0
    private var findings: [String] = []

    init(in sandbox: Sandbox, generator: SeededGenerator, kills: Int) async throws {
        self.sandbox = sandbox
        self.generator = generator
        self.kills = kills
        simulator = try await SimulatorProcess(in: sandbox, flags: ["--create-on-put"])
    }

    /// Runs it all.
    func result() async throws -> CrashResult {
        var result = CrashResult()
        result.startedAt = ISO8601DateFormatter().string(from: Date())
        (result.seed, result.kills) = (generator.seed, kills)
        let begin = ContinuousClock.now
        let relay = try await underFire()
        let history = try await history(relay)
        let audit = CrashAudit(history)
        try await releaseHeld(relay, history)
        result.durationSeconds = Int((ContinuousClock.now - begin) / .seconds(1))
        (result.killsDuringStart, result.longestBacklog) = (killsDuringStart, longestBacklog)
        result.tally = audit.tally
        result.startToReadyMilliseconds = CrashResult.Spread(starts)
        result.findings = findings + audit.findings
        return result
    }

    // MARK: - Kills

    /// Kills the relay as often as it is to be; the relay that is left has delivered everything.
    private func underFire() async throws -> RelayProcess {
        let seed = generator.next()
        let clients = clients
        var relay = try await start()
        let writing = Task { try await clients.run(seed: seed) }
        defer { writing.cancel() }
        var killed = 0
        while killed < kills {
            clients.relay = relay
            try await changeWeather(during: randomMilliseconds(50...300))
            try await kill(relay.process)
            killed += 1
            while killed < kills, generator.chance(oneIn: 8) {
                try await killDuringStart()
                killed += 1
            }
            relay = try await start()
        }
        clients.relay = relay
        try await simulator.clearFaults()
        clients.stop()
        try await writing.value
        // The breaker of this one has seen the last bad weather; the next one's has not.
        try await kill(relay.process)
        relay = try await start()
        try await eventually("the end of every write", within: .seconds(120)) {
            let books = try await relay.status().outbox
            return books.pending == books.held
        }
        return relay
    }

    private func randomMilliseconds(_ range: ClosedRange<Int>) -> Duration {
        .milliseconds(Int.random(in: range, using: &generator))
    }

    /// Lets a while pass, in which the upstream's behaviour changes or not; the moment of the kill is meant to be random.
    private func changeWeather(during time: Duration) async throws {
        let change = time * Double.random(in: 0...1, using: &generator)
        try await Task.sleep(for: change)
        if !generator.chance(oneIn: 3) {
            try await simulator.setFaults(CrashWeather(using: &generator, contacts: clients.contacts).json)
        }
        try await Task.sleep(for: time - change)
    }

    private func start() async throws -> RelayProcess {
        let begin = ContinuousClock.now
        let relay = try await RelayProcess(in: sandbox, upstream: simulator, Self.settings)
        starts.append(ContinuousClock.now - begin)
        let books = try await relay.status().outbox
        if let fault = CrashAudit.imbalance(books) { findings.append(fault) }
        if books.accepted < max(accepted, clients.committed) {
            findings.append("\(books.accepted) accepted after a restart, \(accepted) before, \(clients.committed) told")
        }
        accepted = books.accepted
        longestBacklog = max(longestBacklog, books.pending)
        return relay
    }

    private func kill(_ process: ChildProcess) async throws {
        _ = try await process.pid()
        process.signal(SIGKILL)
        clients.relay = nil
        _ = try await process.waitForEnd()
        // What the dead relay had sent is read before the next one sends anything. Late effects of an attempt that was cut
        // off are what `writes.settle` is for, and no part of P3.
        try await eventually("the upstream to notice") { try await simulator.openConnections() == 0 }
    }

    private func killDuringStart() async throws {
        let arguments = RelayProcess.arguments(in: sandbox, upstream: simulator.url, Self.settings)
        let process = sandbox.spawn("contact-relay", arguments)
        _ = try await process.pid()
        try await Task.sleep(for: randomMilliseconds(0...60))
        killsDuringStart += 1
        try await kill(process)
    }

    // MARK: - Evidence

    private func history(_ relay: RelayProcess) async throws -> CrashHistory {
        var history = CrashHistory()
        history.writes = clients.writes
        history.attempts = try await attempts()
        var wanted = history.writes.compactMap { write in write.id.map { (id: $0, key: write.key) } }
        while !wanted.isEmpty {
            let found = try await receipts(wanted, relay)
            history.receipts.merge(found.map { ($0.receipt.id, $0.receipt) }) { $1 }
            // Successors that were never answered are not asked for yet.
            wanted = found.compactMap { found in
                found.receipt.supersededBy.flatMap { history.receipts[$0] == nil ? ($0, found.key) : nil }
            }
        }
        history.books = try await relay.status().outbox
        return history
    }

    /// What the replay rule holds waits for an operator, who now lets it all go: then it ends, too, and nothing is left.
    private func releaseHeld(_ relay: RelayProcess, _ history: CrashHistory) async throws {
        let operators = Operator(in: sandbox)
        try await eventually("the end of what was held", within: .seconds(120)) {
            // What a probe has in hand is left as it is.
            _ = try await operators.run("outbox", "release", "--state=held", "--force", "--yes")
            return try await relay.status().outbox.pending == 0
        }
        let held = history.writes.compactMap { write in
            write.id.flatMap { history.receipts[$0]?.state == "held" ? (id: $0, key: write.key) : nil }
        }
        let ended = try await receipts(held, relay).map(\.receipt)
        if ended.count != held.count {
            findings.append("\(held.count - ended.count) held writes are lost by a release")
        }
        for receipt in ended where !["delivered", "superseded"].contains(receipt.state) {
            findings.append("\(receipt.id) was held, released, and is \(receipt.state)")
        }
        let books = try await relay.status().outbox
        if let fault = CrashAudit.imbalance(books) { findings.append(fault) }
        if books.dead != history.books.dead { findings.append("\(books.dead - history.books.dead) died of a release") }
    }

    private func attempts() async throws -> [CrashAttempt] {
        var attempts: [CrashAttempt] = []
        var last = 0
        while true {
            let page = try await simulator.log(since: last, limit: Self.logPage)
            guard let end = page.last else { return attempts }
            attempts += page.compactMap(CrashAttempt.init)
            last = end.n
        }
    }

    /// The receipts that there are.
    private nonisolated func receipts(
        _ wanted: [(id: String, key: CrashWrite.Key)],
        _ relay: RelayProcess
    ) async throws -> [(receipt: Receipt, key: CrashWrite.Key)] {
        try await withThrowingTaskGroup(of: [(receipt: Receipt, key: CrashWrite.Key)].self) { group in
            for reader in 0..<Self.receiptReaders {
                let mine = wanted.indices.filter { $0 % Self.receiptReaders == reader }.map { wanted[$0] }
                group.addTask {
                    var found: [(receipt: Receipt, key: CrashWrite.Key)] = []
                    for (id, key) in mine {
                        let answer = try await relay.receiptAnswer(id, key: key.rawValue)
                        if answer.status == 200 { found.append((try answer.decoded(Receipt.self), key)) }
                    }
                    return found
                }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
    }
}
