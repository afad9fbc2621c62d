/// Where a write is on its way, as receipts show it (design §2.1, P2).
package enum WriteState: String, Sendable, Hashable, CaseIterable {
    case pending
    case inFlight = "in_flight"
    case held
    case delivered
    case rejected
    case superseded
    case dead
    case discarded

    /// Whether the write has ended and will not be sent any more unless an operator acts.
    package var hasEnded: Bool { endedCode != nil }

    /// The number that stands for an ended state in the table of ended writes.
    var endedCode: Int64? {
        switch self {
        case .pending, .inFlight, .held: nil
        case .delivered: 1
        case .rejected: 2
        case .superseded: 3
        case .dead: 4
        case .discarded: 5
        }
    }

    init?(endedCode: Int64) {
        guard let state = Self.allCases.first(where: { $0.endedCode == endedCode }) else { return nil }
        self = state
    }
}
