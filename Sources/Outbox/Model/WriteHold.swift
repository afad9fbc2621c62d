/// Why a pending write is out of its lane (design §3.3); kept with it in the database.
package enum WriteHold: Int64, Sendable, Hashable, CaseIterable {
    /// It is not: it is in its lane, or behind the window.
    case none = 0
    /// The upstream has refused its key with 401.
    case key = 1
    /// The upstream has answered it with 403.
    case write = 2
    /// An operator has stopped its contact.
    case contact = 3
    /// A later write of its contact was delivered meanwhile: it waits for an operator, by the replay rule.
    case overtaken = 4
    /// It was let go, and waits for room in the window.
    case queued = 5
    /// The same 2xx that does not confirm it has come too often: it may have been applied each time.
    case unexpected = 6

    /// Whether the write counts, and shows, as held.
    package var isHeld: Bool { self != .none && self != .queued }

    /// Its name in listings; nil when the write is not held.
    package var name: String? {
        switch self {
        case .none, .queued: nil
        case .key: "key"
        case .write: "write"
        case .contact: "contact"
        case .overtaken: "overtaken"
        case .unexpected: "unexpected"
        }
    }
}

/// Whether a write has ever been out of the order of its lane.
enum WriteReplay: Int64, Sendable, Comparable {
    /// It has not.
    case inOrder = 0
    /// It was held, or dead: it is sent only if nothing later of its contact was delivered meanwhile.
    case underRule = 1
    /// The same, and an operator has said to send it all the same.
    case forced = 2

    static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}
