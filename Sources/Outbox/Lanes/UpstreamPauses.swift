import DexatelAPI

/// Until when the upstream as a whole wants to be left alone: a 503 with `Retry-After` that a second contact confirms,
/// and replies that are not the API's.
struct UpstreamPauses: Sendable {
    /// The contact that got a 503 with `Retry-After` last, and until when that stands.
    private var suspect: (contact: ContactReference, until: RelayTime)?
    private(set) var until: RelayTime?
    private(set) var foreign = ForeignReplies()
    /// How often in a row what was to find out if the API is back has found something else.
    private var foreignProbes: Int64 = 0

    /// Whether one write at a time finds out if the API is back.
    var probesAlone: Bool { foreign.isPausing }

    /// Whether nothing is to be sent before `until`.
    func isPaused(_ now: RelayTime) -> Bool { until.map { $0 > now } ?? false }

    /// A 503 with `Retry-After`; true if it pauses the upstream, as it is the second contact's.
    mutating func suspect(_ contact: ContactReference, until time: RelayTime, now: RelayTime) -> Bool {
        defer { suspect = (contact, time) }
        guard let suspect, suspect.contact != contact, suspect.until > now else { return false }
        until = max(time, until ?? time)
        return true
    }

    /// The first pause for replies that are not the API's; each further one is twice as long.
    static let minForeignMilliseconds: Int64 = 200

    /// A reply that is not the API's; true if delivery pauses.
    ///
    /// - Parameter maxMilliseconds: How long at a time.
    mutating func noteForeign(
        _ contact: ContactReference,
        reason: String,
        now: RelayTime,
        maxMilliseconds: Int64
    ) -> Bool {
        guard foreign.note(contact, reason: reason) else { return false }
        let pause = min(Self.minForeignMilliseconds << min(foreignProbes, 10), maxMilliseconds)
        // Those that were under way together count as one.
        if !isPaused(now) { foreignProbes += 1 }
        until = max(now + pause, until ?? now)
        return true
    }

    /// A reply of the API's own; true if it ends a pause that others' replies have brought about.
    mutating func noteOwn() -> Bool {
        guard foreign.end() else { return false }
        (until, foreignProbes) = (nil, 0)
        return true
    }

    /// The upstream has taken a write: the last 503 says nothing of it any more.
    mutating func noteDelivery() { suspect = nil }

    /// What an operator is to know of since the last time.
    mutating func takeNotice() -> ForeignReplies.Notice? { foreign.takeNotice() }

    /// Ends the pause, on an operator's word.
    mutating func end() { (until, suspect) = (nil, nil) }
}
