import DexatelAPI

@testable import Outbox

/// The pending writes that are not held, as the database would have them, for tests of the schedule alone.
struct PendingTable {
    private let writes: [LaneSchedule.Write]

    init(_ writes: some Sequence<LaneSchedule.Write>) {
        self.writes = writes.filter { $0.pending.hold == .none }.sorted { $0.pending.sequence < $1.pending.sequence }
            .map { write in
                var write = write
                (write.payload, write.waiter) = (nil, nil)
                return write
            }
    }

    func predecessor(of sequence: Int64, _ contact: ContactReference) -> LaneSchedule.Predecessor {
        let before = writes.last { $0.pending.sequence < sequence && $0.pending.contact == contact }
        return before.map { .write($0.pending.sequence) } ?? .first
    }

    /// What a read finds.
    ///
    /// - Parameter limit: Rows at most, if fewer than the request allows.
    func read(_ request: LaneSchedule.RefillRequest, limit: Int = .max) -> LaneSchedule.Refilled {
        let limit = min(limit, request.limit)
        switch request.source {
        case .backlog(let after):
            return part(writes.filter { $0.pending.sequence > after }, limit, isOrdered: request.needsOrder)
        case .key(let row, let after, _):
            let ofKey = writes.filter { $0.pending.sequence > after && $0.keyRow == row }
            return part(ofKey, limit, isOrdered: true)
        case .lanes(let places):
            var refilled = LaneSchedule.Refilled(writes: [])
            for place in places {
                let limit = min(place.limit, limit - refilled.writes.count)
                guard limit > 0 else { break }
                let found = writes.filter {
                    $0.pending.contact == place.contact && $0.pending.sequence > place.after
                }
                refilled.writes += found.prefix(limit)
                if found.count < limit { refilled.exhausted.insert(place.contact) }
            }
            return refilled
        }
    }

    private func part(_ found: [LaneSchedule.Write], _ limit: Int, isOrdered: Bool) -> LaneSchedule.Refilled {
        let byContact = Dictionary(grouping: writes, by: \.pending.contact).mapValues { $0.map(\.pending.sequence) }
        let writes = found.prefix(limit).map { write in
            guard isOrdered else { return write }
            var write = write
            let pending = write.pending
            let ofContact = byContact[pending.contact] ?? []
            write.predecessor = ofContact.last { $0 < pending.sequence }.map { .write($0) } ?? .first
            write.hasSuccessor = ofContact.contains { $0 > pending.sequence }
            return write
        }
        return .init(writes: writes, upTo: found.count >= limit ? writes.last?.pending.sequence : nil)
    }
}
