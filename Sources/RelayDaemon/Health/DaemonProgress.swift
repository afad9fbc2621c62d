import NIOCore
import NIOPosix
import Outbox
import Synchronization

/// Finds out whether the daemon still works: the event loops turn, the commit thread turns, the forwarder turns.
final class DaemonProgress: Sendable {
    private let group: MultiThreadedEventLoopGroup
    private let outbox: Outbox
    private let lastTurns: Mutex<Outbox.Turns?>

    init(group: MultiThreadedEventLoopGroup, outbox: Outbox) {
        self.group = group
        self.outbox = outbox
        lastTurns = Mutex(nil)
    }

    /// Whether every part has turned since the last time that this was asked; hangs when an event loop hangs, which
    /// keeps the watchdog from being told just as well.
    func isMade() async -> Bool {
        for loop in group.makeIterator() { try? await loop.submit {}.get() }
        let turns = outbox.turns
        defer { outbox.nudge() }
        return lastTurns.withLock { last in
            defer { last = turns }
            guard let last else { return true }
            return turns.commits != last.commits && turns.deliveries != last.deliveries
        }
    }
}
