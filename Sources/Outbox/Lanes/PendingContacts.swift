import DexatelAPI
import Synchronization

/// Tells contacts that have no pending write, by a counting filter: exact when it says no, and seldom wrong when it says
/// that there may be one.
///
/// It is filled while the outbox runs, by walking along two indexes: that of the lanes, then that of the held writes. The
/// commit thread alone changes it; a change counts if the walk has passed its place, for otherwise the walk will find it.
final class PendingContacts: Sendable {
    private static let slots = 1 << 21

    /// How far the walk has come.
    private enum Progress: Sendable {
        case lanes(after: [UInt8])
        case held(after: [UInt8])
        case complete

        func hasPassed(_ contact: ContactReference, isHeld: Bool) -> Bool {
            switch self {
            case .lanes(let after): !isHeld && !after.lexicographicallyPrecedes(contact.bytes)
            case .held(let after): !isHeld || !after.lexicographicallyPrecedes(contact.bytes)
            case .complete: true
            }
        }
    }

    private struct State {
        var counts = [UInt16](repeating: 0, count: PendingContacts.slots)
        var progress = Progress.lanes(after: [])
    }

    private let state = Mutex(State())

    /// A change of what is pending: a write that came, went, or was held or let go.
    struct Change: Sendable {
        var contact: ContactReference
        var isHeld: Bool
        var count: Int
    }

    private static func places(_ contact: ContactReference) -> (Int, Int) {
        var hasher = Hasher()
        hasher.combine(contact)
        let hash = UInt(bitPattern: hasher.finalize())
        return (Int(hash & UInt(slots - 1)), Int(hash >> 32 & UInt(slots - 1)))
    }

    /// Pending writes of a contact at most; nil while that is not known.
    func most(_ contact: ContactReference) -> Int? {
        let (one, two) = Self.places(contact)
        return state.withLock { state in
            guard case .complete = state.progress else { return nil }
            return Int(min(state.counts[one], state.counts[two]))
        }
    }

    /// Whether a contact may have a pending write.
    func mayContain(_ contact: ContactReference) -> Bool { most(contact) != 0 }

    func apply(_ changes: [Change]) {
        guard !changes.isEmpty else { return }
        state.withLock { state in
            for change in changes where state.progress.hasPassed(change.contact, isHeld: change.isHeld) {
                Self.add(change.count, change.contact, &state)
            }
        }
    }

    private static func add(_ count: Int, _ contact: ContactReference, _ state: inout State) {
        let (one, two) = places(contact)
        for place in one == two ? [one] : [one, two] {
            let known = state.counts[place]
            // What has ever been full is not counted down: nobody knows by how much.
            guard known < .max else { continue }
            state.counts[place] = UInt16(clamping: Int(known) + count)
        }
    }

    // MARK: - Filling it

    /// What is to be walked next: behind a contact, along the lanes or along what is held; nil when all is known.
    var walk: (after: [UInt8], isHeld: Bool)? {
        state.withLock { state in
            switch state.progress {
            case .lanes(let after): (after, false)
            case .held(let after): (after, true)
            case .complete: nil
            }
        }
    }

    /// What the walk has found behind `walk`; nothing ends it.
    func walked(_ found: [(contact: ContactReference, count: Int)]) {
        state.withLock { state in
            for (contact, count) in found { Self.add(count, contact, &state) }
            switch (state.progress, found.last?.contact.bytes) {
            case (.lanes, let last?): state.progress = .lanes(after: Array(last))
            case (.lanes, nil): state.progress = .held(after: [])
            case (.held, let last?): state.progress = .held(after: Array(last))
            case (.held, nil), (.complete, _): state.progress = .complete
            }
        }
    }

    /// Nothing is known any more.
    func restart() { state.withLock { $0 = State() } }
}
