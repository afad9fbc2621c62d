/// What an operator does with writes (design §2.2).
package enum WriteChange: Sendable, Equatable {
    /// Dead writes are sent again, as far as the replay rule allows (design §3.3).
    case retry(isForced: Bool)
    /// Held writes are let go, as far as the replay rule allows.
    ///
    /// Writes of a refused key, and of a stopped contact, stay: the key's success, `replaceKey` or `release(contact)`
    /// lets them go.
    case release(isForced: Bool)
    /// Writes that have not been delivered end for good; their bodies are gone then.
    case discard

    /// The states that it is for.
    package var states: Set<WriteState> {
        switch self {
        case .retry: [.dead]
        case .release: [.held]
        case .discard: [.pending, .inFlight, .held, .dead]
        }
    }

    /// Those of a selection that it is for; nil when none can be.
    package func narrowed(_ selection: WriteSelection) -> WriteSelection? {
        var selection = selection
        selection.states = selection.states.isEmpty ? states : selection.states.intersection(states)
        return selection.states.isEmpty ? nil : selection
    }
}

/// A part of a change: what became of it, and where to go on.
package struct WriteChangePart: Sendable {
    /// What became of this part.
    package var result: OperationResult
    /// Behind which sequence to go on; nil when nothing more is there.
    package var next: Int64?
}
