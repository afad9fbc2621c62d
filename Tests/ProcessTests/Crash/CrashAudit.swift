import AdminAPI

/// Holds a history against the promises P1 to P3; pure, and itself tested, as nothing else would tell if it saw nothing.
struct CrashAudit {
    private let history: CrashHistory
    private let writesByID: [String: CrashWrite]
    private let attemptsByTag: [String: [CrashAttempt]]
    /// What is not as promised, a sentence each.
    private(set) var findings: [String] = []
    private(set) var tally = CrashTally()

    init(_ history: CrashHistory) {
        self.history = history
        attemptsByTag = Dictionary(grouping: history.attempts, by: \.tag)
        var writesByID: [String: CrashWrite] = [:]
        for write in history.writes {
            guard let id = write.id else { continue }
            if let other = writesByID[id] { findings.append("\(write.tag) and \(other.tag) have the receipt \(id)") }
            writesByID[id] = write
        }
        self.writesByID = writesByID
        for write in history.writes { check(write) }
        checkOrder()
        checkBooks()
        tally.writes = history.writes.count
        tally.attempts = history.attempts.count
    }

    private mutating func fail(_ write: CrashWrite, _ what: String) {
        findings.append("\(write.tag) (\(write.method.rawValue), \(write.outcome)): \(what)")
    }

    private func attempts(_ write: CrashWrite) -> [CrashAttempt] { attemptsByTag[write.tag] ?? [] }

    // MARK: - Each write (P1, P2)

    private mutating func check(_ write: CrashWrite) {
        let attempts = attempts(write)
        tally.repeats += max(0, attempts.count(where: \.isApplied) - 1)
        switch write.outcome {
        case .unknown:
            tally.unknown += 1
            if !attempts.isEmpty { tally.unknownSeen += 1 }
        case .acknowledged(nil, let status):
            tally.acknowledged += 1
            // As the upstream's own reply would say it, but the relay never answers without a receipt.
            fail(write, "was answered \(status) without a receipt")
        case .acknowledged(let id?, let status):
            tally.acknowledged += 1
            guard let receipt = history.receipts[id] else { return fail(write, "is lost") }
            checkIdentity(write, receipt)
            checkEnd(write, receipt, status: status)
        case .refused(nil, _):
            tally.refused += 1
            // The relay refused it before it was stored: it must not go anywhere.
            if !attempts.isEmpty { fail(write, "was refused and yet sent to the upstream") }
        case .refused(let id?, let status):
            tally.refused += 1
            guard let receipt = history.receipts[id] else { return fail(write, "has lost its receipt") }
            checkIdentity(write, receipt)
            tally.rejected += 1
            if receipt.state != "rejected" { fail(write, "is \(receipt.state)") }
            if receipt.response?.status != status || attempts.last?.status != status {
                fail(write, "was not refused by the upstream in these words")
            }
        }
    }

    private mutating func checkIdentity(_ write: CrashWrite, _ receipt: Receipt) {
        if receipt.contactId != write.contact || receipt.method != write.method.rawValue {
            fail(write, "has somebody else's receipt \(receipt.id)")
        }
    }

    private mutating func checkEnd(_ write: CrashWrite, _ receipt: Receipt, status: Int) {
        // Anything but a 202 is the upstream's own word, and stays true whatever happens afterwards.
        if status != 202, receipt.state != "delivered" { return fail(write, "is \(receipt.state)") }
        let attempts = attempts(write)
        switch receipt.state {
        case "delivered":
            tally.delivered += 1
            if !isDelivered(write) { fail(write, "is called delivered, but the upstream has not taken it") }
        case "superseded":
            tally.superseded += 1
            if let fault = coverFault(write, receipt) { fail(write, fault) }
        case "dead":
            tally.dead += 1
            guard let refusal = receipt.response?.status, receipt.lastError != nil else {
                return fail(write, "is dead without a reason")
            }
            if attempts.last?.status != refusal || !(400..<500).contains(refusal) {
                fail(write, "is dead of \(refusal), but the upstream did not refuse it")
            }
        case "held":
            tally.held += 1
            if !isHeldRightly(write, receipt) { fail(write, "is held, and nothing stands in its way") }
        default:
            fail(write, "has not ended: \(receipt.state)")
        }
    }

    private func isDelivered(_ write: CrashWrite) -> Bool {
        attempts(write).contains { $0.isApplied || write.method == .delete && [404, 410].contains($0.status) }
    }

    /// What is wrong with the way in which a write was superseded; nil if a write that covers it was delivered.
    private func coverFault(_ write: CrashWrite, _ receipt: Receipt) -> String? {
        guard let id = receipt.supersededBy, let successor = history.receipts[id] else {
            return "is superseded by nothing"
        }
        guard successor.contactId == write.contact, successor.sequence > receipt.sequence else {
            return "is superseded by \(id), which does not come after it"
        }
        if let known = writesByID[id] {
            guard known.covers(write) else { return "is superseded by \(known.tag), which does not cover it" }
            if successor.state == "superseded" { return coverFault(known, successor) }
            guard successor.state == "delivered" else {
                return "is superseded by \(known.tag), which is \(successor.state)"
            }
            return isDelivered(known) ? nil : "is superseded by \(known.tag), which the upstream has not taken"
        }
        // Its successor was not answered, and is one of these.
        let candidates = history.writes.filter { $0.outcome == .unknown && $0.covers(write) && isDelivered($0) }
        return candidates.isEmpty ? "is superseded by \(id), which nobody made" : nil
    }

    /// Whether the replay rule keeps a write back: its key or it itself was refused, and the contact has moved on.
    private func isHeldRightly(_ write: CrashWrite, _ receipt: Receipt) -> Bool {
        let wasRefused = write.key == .revocable || attempts(write).contains { [401, 403].contains($0.status) }
        let later = history.receipts.values.contains {
            $0.contactId == write.contact && $0.sequence > receipt.sequence && $0.state == "delivered"
        }
        let mayBeLater = history.writes.contains {
            $0.contact == write.contact && $0.outcome == .unknown && isDelivered($0)
        }
        return wasRefused && (later || mayBeLater)
    }

    // MARK: - Order (P3)

    private mutating func checkOrder() {
        let writes = Dictionary(uniqueKeysWithValues: history.writes.map { ($0.tag, $0) })
        for tag in Set(history.attempts.map(\.tag)).subtracting(writes.keys) {
            findings.append("\(tag) is at the upstream, and nobody made it")
        }
        for (contact, attempts) in Dictionary(grouping: history.attempts, by: \.contact) {
            let known = attempts.compactMap { writes[$0.tag] }.filter { !isExcepted($0) }
            // What is held leaves its lane, and comes back later: it has an order of its own.
            checkOrder(contact, known.filter { $0.key != .revocable })
            checkOrder(contact, known.filter { $0.key == .revocable })
        }
    }

    /// Held and refused writes are excepted from the order (design §3, P3): after a refusal, what it had covered goes out.
    private func isExcepted(_ write: CrashWrite) -> Bool {
        if let id = write.id, let receipt = history.receipts[id], ["dead", "rejected", "held"].contains(receipt.state) {
            return true
        }
        let statuses = attempts(write).map(\.status)
        return statuses.contains(403) || statuses.contains { [400, 404, 409, 410].contains($0) } && write.id == nil
    }

    /// Attempts with the writes of one contact: each write's are in a row, and those with a receipt rise in sequence.
    private mutating func checkOrder(_ contact: String, _ attempts: [CrashWrite]) {
        let all = Self.runs(attempts)
        let runs = Self.runs(all.indices.filter { !isRepeatedAfterCovered(all, $0) }.map { all[$0] })
        let repeated = Dictionary(grouping: runs, by: \.tag).filter { $0.value.count > 1 }.keys
        for tag in repeated.sorted() {
            findings.append("\(contact): \(tag) was sent again after a later write: \(story(of: tag, contact))")
        }
        let numbered = runs.compactMap { write in sequence(write).map { (write.tag, $0) } }
        for (earlier, later) in zip(numbered, numbered.dropFirst()) where earlier.1 > later.1 {
            findings.append(
                "\(contact): \(earlier.0) (\(earlier.1)) was sent before \(later.0) (\(later.1)): "
                    + story(of: later.0, contact)
            )
        }
    }

    /// The writes, repeats in a row collapsed.
    private static func runs(_ attempts: [CrashWrite]) -> [CrashWrite] {
        attempts.indices.filter { $0 == 0 || attempts[$0 - 1].tag != attempts[$0].tag }.map { attempts[$0] }
    }

    /// Whether a run of attempts stood for earlier writes, was not confirmed, and was repeated after these: a covering write that is
    /// held, or has others come back before it, lets go of what it had covered (design §3.4).
    private func isRepeatedAfterCovered(_ runs: [CrashWrite], _ place: Int) -> Bool {
        let write = runs[place]
        guard let next = runs[(place + 1)...].firstIndex(where: { $0.tag == write.tag }) else { return false }
        return runs[(place + 1)..<next].allSatisfy { between in
            let isLater = sequence(between).flatMap { other in sequence(write).map { other > $0 } } ?? false
            return write.covers(between) && !isLater
        }
    }

    /// Nil where nobody was told of it.
    private func sequence(_ write: CrashWrite) -> Int64? { write.id.flatMap { history.receipts[$0]?.sequence } }

    /// What the upstream saw of a contact from shortly before a write until shortly after, to be understood by a person.
    private func story(of tag: String, _ contact: String) -> String {
        let attempts = history.attempts.filter { $0.contact == contact }
        guard let first = attempts.firstIndex(where: { $0.tag == tag }),
            let last = attempts.lastIndex(where: { $0.tag == tag })
        else { return "" }
        let shown = attempts[max(0, first - 2)...min(attempts.count - 1, last + 3)].map { attempt in
            let write = history.writes.first { $0.tag == attempt.tag }
            let receipt = write?.id.flatMap { history.receipts[$0] }
            return "\(attempt.tag) (\(write?.key.rawValue ?? "?"), \(receipt?.state ?? "unknown")) "
                + "\(attempt.status)\(attempt.isApplied ? " applied" : "")"
        }
        return shown.joined(separator: "; ")
    }

    // MARK: - Books (P2)

    private mutating func checkBooks() {
        let books = history.books
        if let fault = Self.imbalance(books) { findings.append(fault) }
        let committed = history.writes.count { $0.id != nil }
        let unknown = Int64(tally.unknown)
        let named: [(String, Int64, Int)] = [
            ("accepted", books.accepted, committed), ("delivered", books.delivered, tally.delivered),
            ("superseded", books.superseded, tally.superseded), ("dead", books.dead, tally.dead),
            ("rejected", books.rejected, tally.rejected), ("held", books.held, tally.held),
        ]
        for (name, told, counted) in named where !(0...unknown).contains(told - Int64(counted)) {
            findings.append("\(told) are \(name) by the books, and \(counted) by receipt, with \(unknown) unknown ones")
        }
        // What was sent upstream was committed before (P1), whether anybody was told or not.
        if books.accepted < Int64(committed + tally.unknownSeen) {
            findings.append("the upstream has seen writes that are not in the books: \(books.accepted) are accepted")
        }
        if books.pending != books.held { findings.append("\(books.pending) are pending, \(books.held) of them held") }
        if books.discarded != 0 { findings.append("\(books.discarded) are discarded, and nobody did that") }
    }
}
