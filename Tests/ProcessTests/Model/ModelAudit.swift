/// Holds what was read against the promises P4 and P5 and design §5.4; pure, and itself tested.
struct ModelAudit {
    /// What became of a write, as far as readers are concerned.
    enum Fate {
        /// Delivered, or covered by one that was: from its acknowledgement on nothing older may be shown.
        case good
        /// Refused after its acknowledgement, at about this moment: until then it has to be shown.
        case dead(at: Int64)
        /// Refused: not to be shown after that was said, unless it took effect all the same.
        case refused
        /// May be shown or not: its sender does not know, or something delivered later has overtaken it.
        case open
    }

    private let history: ModelHistory
    private var fates: [Fate] = []
    /// The indices of each contact's writes.
    private var writes: [[Int]]
    private var indexOfNumber: [Int: Int] = [:]
    /// How many of each contact's writes have been held for good.
    private var held: [Int]
    /// What is not as promised, a sentence each.
    private(set) var findings: [String]
    /// What is known of the contact that the first finding about a reading is about.
    private(set) var story: [String] = []

    init(_ history: ModelHistory) {
        self.history = history
        findings = history.findings
        writes = Array(repeating: [], count: history.owners.count)
        held = Array(repeating: 0, count: history.owners.count)
        for (index, write) in history.writes.enumerated() {
            writes[write.contact].append(index)
            indexOfNumber[write.number] = index
            fates.append(.open)
            fates[index] = fate(write)
            if case .acknowledged(let id?, 202) = write.outcome, history.states[id] == "held" {
                held[write.contact] += 1
            }
        }
        for reading in history.readings { check(reading) }
        checkNothingGoesBack()
        checkRefusedKeys()
    }

    private mutating func fate(_ write: ModelWrite) -> Fate {
        switch write.outcome {
        case .unknown: return .open
        case .refused: return .refused
        case .acknowledged(_, let status) where status != 202: return .good
        case .acknowledged(let id, _):
            switch id.flatMap({ history.states[$0] }) {
            case "delivered", "superseded": return .good
            case "dead": return .dead(at: history.lastAttempt[write.number] ?? write.ended)
            case "held": return .open
            case let state:
                findings.append("w\(write.number) has not ended: \(state ?? "no receipt")")
                return .open
            }
        }
    }

    private mutating func fail(_ reading: ModelReading, _ what: String) {
        if story.isEmpty { story = events(around: reading) }
        let place = reading.pageSize == 0 ? "" : " on a page of \(reading.pageSize)"
        findings.append(
            "\(reading.key) saw contact \(reading.contact)\(place) as \(reading.seen)"
                + "\(reading.isMarkedStale ? " (stale)" : ""), \(reading.pending) pending, "
                + "from \(reading.began) to \(reading.ended): \(what)"
        )
    }

    /// The last writes to the contact of a reading, and what its key was shown of it, in order of their ends.
    private func events(around reading: ModelReading, before: Int = 40, after: Int = 5) -> [String] {
        let writes = writes[reading.contact].map { history.writes[$0] }.map { write in
            (
                write.ended,
                "\(write.began)…\(write.ended) w\(write.number) \(write.isDelete ? "DELETE" : "\(write.sets)"), "
                    + "\(write.outcome), applied at \(history.applied[write.number] ?? 0), "
                    + "last tried at \(history.lastAttempt[write.number] ?? 0)"
            )
        }
        let readings = history.readings.filter { $0.key == reading.key && $0.contact == reading.contact }
        let shown = readings.map { other in
            (
                other.ended,
                "\(other.began)…\(other.ended) \(other.pageSize == 0 ? "GET" : "page of \(other.pageSize)") "
                    + "\(other.seen), \(other.pending) pending, \(other.cacheStatus)"
            )
        }
        let all = (writes + shown).sorted { $0.0 < $1.0 }
        let place = all.firstIndex { $0.0 >= reading.ended } ?? all.endIndex
        return all[max(0, place - before)..<min(all.count, place + after)].map { $0.1 }
    }

    /// A contact's writes that a reading can have shown something of, in their order.
    private func begun(before reading: ModelReading) -> ArraySlice<Int> {
        let all = writes[reading.contact]
        var bounds = all.indices
        while !bounds.isEmpty {
            let middle = bounds.lowerBound + bounds.count / 2
            bounds =
                history.writes[all[middle]].began < reading.ended
                ? middle + 1..<bounds.upperBound : bounds.lowerBound..<middle
        }
        return all[..<bounds.lowerBound]
    }

    // MARK: - Each reading

    private mutating func check(_ reading: ModelReading) {
        let isOwn = reading.key == history.owners[reading.contact]
        switch reading.seen {
        case .gone: checkGone(reading, isOwn: isOwn)
        case .values(let values):
            checkThere(reading, isOwn: isOwn)
            for (field, value) in values.enumerated() {
                if isOwn { checkOwn(reading, field, value) } else { checkForeign(reading, field, value) }
            }
        }
        if reading.pageSize == 0 { checkPending(reading, isOwn: isOwn) }
    }

    /// Whether a reading of the write's own key has to show it, or something later (P5).
    private func binds(_ index: Int, _ reading: ModelReading) -> Bool {
        guard history.writes[index].ended <= reading.began else { return false }
        switch fates[index] {
        case .good: return true
        case .dead(let at): return reading.ended < at
        case .refused, .open: return false
        }
    }

    /// Whether a refused write is shown after that was said.
    private func isRefuted(_ index: Int, _ reading: ModelReading) -> Bool {
        guard case .refused = fates[index] else { return false }
        return history.writes[index].ended <= reading.began && history.applied[history.writes[index].number] == nil
    }

    private mutating func checkGone(_ reading: ModelReading, isOwn: Bool) {
        let excuse = writes[reading.contact].contains { index in
            let write = history.writes[index]
            guard write.isDelete, write.began < reading.ended else { return false }
            if !isOwn { return (history.applied[write.number] ?? .max) <= reading.ended }
            return !isRefuted(index, reading)
        }
        if !excuse { fail(reading, "nobody has deleted it") }
    }

    private mutating func checkThere(_ reading: ModelReading, isOwn: Bool) {
        for index in writes[reading.contact] where history.writes[index].isDelete {
            let write = history.writes[index]
            if isOwn, binds(index, reading) { fail(reading, "w\(write.number) has deleted it") }
            if !isOwn, !reading.isMarkedStale, write.outcome.isDelivered, write.ended <= reading.began {
                fail(reading, "w\(write.number) had deleted it, and this was called fresh")
            }
        }
    }

    /// Own acknowledged writes are shown, or later ones (P5).
    private mutating func checkOwn(_ reading: ModelReading, _ field: Int, _ value: Int) {
        for index in begun(before: reading).reversed() {
            let write = history.writes[index]
            guard write.sets[field] else { continue }
            if write.number == value {
                if isRefuted(index, reading) { fail(reading, "w\(value) was refused") }
                return
            }
            if binds(index, reading) {
                return fail(reading, "\(ModelWrite.fields[field]) is older than w\(write.number)")
            }
        }
        if value != ModelReading.initial { fail(reading, "\(ModelWrite.fields[field]) has a value that nobody wrote") }
    }

    /// Other keys' writes are shown once they have taken effect, not before (P4); nothing that a delivery has put in
    /// doubt is called fresh.
    private mutating func checkForeign(_ reading: ModelReading, _ field: Int, _ value: Int) {
        if value != ModelReading.initial {
            guard let at = history.applied[value], at <= reading.ended else {
                return fail(reading, "w\(value) is another key's, and the upstream does not have it")
            }
        }
        guard !reading.isMarkedStale else { return }
        for index in begun(before: reading).reversed() {
            let write = history.writes[index]
            guard write.sets[field] else { continue }
            if write.number == value { return }
            if write.outcome.isDelivered, write.ended <= reading.began {
                return fail(reading, "\(ModelWrite.fields[field]) is older than w\(write.number), and called fresh")
            }
        }
    }

    /// `Contact-Relay-Pending` counts what is under way, and says so whenever something surely is.
    private mutating func checkPending(_ reading: ModelReading, isOwn: Bool) {
        guard isOwn else {
            if reading.pending > 0 { fail(reading, "another key's writes are called pending") }
            return
        }
        // What is held stays pending, whatever is delivered after it.
        var most = held[reading.contact]
        var isSure = false
        lane: for index in begun(before: reading).reversed() {
            let write = history.writes[index]
            switch write.outcome {
            case .acknowledged(let id, 202):
                most += 1
                let isDelivered = id.map { history.states[$0] == "delivered" } ?? false
                if isDelivered, write.ended <= reading.began,
                    (history.applied[write.number] ?? 0) > reading.ended
                {
                    isSure = true
                }
                continue
            case .unknown:
                most += 1
                continue
            case .acknowledged, .refused: break
            }
            if write.ended > reading.began {
                most += 1
            } else if case .refused(nil, _) = write.outcome {
                continue
            } else {
                // Its lane had come to it: what came before has ended, too.
                break lane
            }
        }
        if reading.pending > most { fail(reading, "only \(most) can be pending") }
        if isSure, reading.pending == 0 { fail(reading, "something is pending, and it does not say so") }
    }

    // MARK: - Over time

    /// Of one resource no later reading shows an older value, for whomever, unless a write was refused in between.
    private mutating func checkNothingGoesBack() {
        struct Place: Hashable {
            var key: ModelKey
            var contact: Int
            var pageSize: Int
        }
        let places = Dictionary(grouping: history.readings.indices) {
            let reading = history.readings[$0]
            return Place(key: reading.key, contact: reading.contact, pageSize: reading.pageSize)
        }
        for indices in places.values {
            let byEnd = indices.sorted { history.readings[$0].ended < history.readings[$1].ended }
            let byBegin = indices.sorted { history.readings[$0].began < history.readings[$1].began }
            var newest = [Int](repeating: ModelReading.initial, count: ModelWrite.fields.count)
            var next = 0
            for index in byBegin {
                let reading = history.readings[index]
                while next < byEnd.count, history.readings[byEnd[next]].ended < reading.began {
                    note(history.readings[byEnd[next]], in: &newest)
                    next += 1
                }
                guard case .values(let values) = reading.seen else { continue }
                for (field, value) in values.enumerated() where value < newest[field] {
                    fail(reading, "\(ModelWrite.fields[field]) had been w\(newest[field]) before")
                }
            }
        }
    }

    private func note(_ reading: ModelReading, in newest: inout [Int]) {
        guard case .values(let values) = reading.seen else { return }
        for (field, value) in values.enumerated() where value > newest[field] {
            guard let index = indexOfNumber[value], case .good = fates[index] else { continue }
            newest[field] = value
        }
    }

    /// A key that the upstream has refused gets nothing until it has succeeded again (P4).
    private mutating func checkRefusedKeys() {
        for key in Set(history.refusals.map(\.key)) {
            let refusals = history.refusals.filter { $0.key == key }.sorted { $0.ended < $1.ended }
            let successes = (history.attempts[key] ?? []).filter { $0.status != 401 && $0.status > 0 }.map(\.at)
            let readings = history.readings.filter { $0.key == key }.sorted { $0.began < $1.began }
            var next = 0
            var latest: Int64?
            for reading in readings {
                while next < refusals.count, refusals[next].ended < reading.began {
                    latest = max(latest ?? 0, refusals[next].began)
                    next += 1
                }
                guard let latest, reading.pending == 0 || reading.seen != .gone else { continue }
                // The log's times are whole milliseconds.
                let after = successes.partition(from: latest - 1_000)
                if after == successes.count || successes[after] > reading.ended {
                    fail(reading, "the key was refused at \(latest), and has not succeeded since")
                }
            }
        }
    }
}

extension [Int64] {
    /// The place of the first that is not below a bound; they are sorted.
    fileprivate func partition(from bound: Int64) -> Int {
        var bounds = 0..<count
        while !bounds.isEmpty {
            let middle = bounds.lowerBound + bounds.count / 2
            bounds = self[middle] < bound ? middle + 1..<bounds.upperBound : bounds.lowerBound..<middle
        }
        return bounds.lowerBound
    }
}

extension CrashWrite.Outcome {
    /// Whether the sender was told that the upstream has taken it.
    var isDelivered: Bool {
        guard case .acknowledged(_, let status) = self else { return false }
        return status != 202
    }
}
