/// Why a pending write waits for somebody (design §3.3).
///
/// The database keeps it with the write, but for the hold of a key or a contact, which is kept with those: `key` and
/// `contact` are what listings show.
package enum WriteHold: Int64, Sendable, Hashable, CaseIterable {
    /// It does not: it is in its lane.
    case none = 0
    /// The upstream has refused its key with 401.
    case key = 1
    /// The upstream has answered it with 403.
    case write = 2
    /// An operator has stopped its contact.
    case contact = 3
    /// A later write of its contact was delivered meanwhile: it waits for an operator, by the replay rule.
    case overtaken = 4
    /// The same 2xx that does not confirm it has come too often: it may have been applied each time.
    case unexpected = 6

    /// Whether the write counts, and shows, as held.
    package var isHeld: Bool { self != .none }

    /// Its name in listings; nil when the write is not held.
    package var name: String? {
        switch self {
        case .none: nil
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
    /// It was held, or dead, or a later write was delivered past it: it is sent only if the replay rule allows it.
    case underRule = 1
    /// The same, and an operator has said to send it all the same.
    case forced = 2

    static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}
