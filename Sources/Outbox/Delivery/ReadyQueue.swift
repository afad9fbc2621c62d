import DequeModule
import DexatelAPI

extension LaneSchedule {
    /// A lane's place in a ready queue.
    struct Turn: Sendable {
        var contact: ContactReference
        var ticket: UInt64
    }

    /// Lanes that are ready, served key by key, so that a key with a thousand of them does not keep one with a single
    /// one waiting; those of a key in the order in which they became ready.
    struct ReadyQueue: Sendable {
        private var turns: [Int64: Deque<Turn>] = [:]
        /// Keys that have turns, the next first.
        private var keys: Deque<Int64> = []
        /// Turns, those that are left over included.
        private(set) var count = 0

        /// The next turn.
        var first: Turn? { keys.first.flatMap { turns[$0]?.first } }

        var all: [Turn] { keys.flatMap { turns[$0] ?? [] } }

        mutating func append(_ turn: Turn, key: Int64) {
            if turns[key] == nil { keys.append(key) }
            turns[key, default: []].append(turn)
            count += 1
        }

        /// Takes the next turn; it is another key's turn then.
        mutating func serve() {
            let key = keys.first
            drop()
            guard keys.count > 1, keys.first == key, let served = keys.popFirst() else { return }
            keys.append(served)
        }

        /// Takes the next turn out, for nothing: its key stays next.
        mutating func drop() {
            guard let key = keys.first else { return }
            _ = turns[key]?.popFirst()
            count -= 1
            if turns[key]?.isEmpty ?? true {
                turns[key] = nil
                keys.removeFirst()
            }
        }

        mutating func keep(where isDue: (Turn) -> Bool) {
            var kept = ReadyQueue()
            for key in keys {
                for turn in turns[key] ?? [] where isDue(turn) { kept.append(turn, key: key) }
            }
            self = kept
        }
    }
}
