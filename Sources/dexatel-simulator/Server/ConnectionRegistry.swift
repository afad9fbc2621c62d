import NIOCore
import Synchronization

/// The open connections of a listener, so that all of them can be closed at once.
final class ConnectionRegistry: Sendable {
    private struct State {
        var isOpen = false
        var channels: [ObjectIdentifier: any Channel] = [:]
    }

    private let state = Mutex(State())

    /// Lets connections in from now on.
    func open() {
        state.withLock { $0.isOpen = true }
    }

    /// Takes a connection in; false where it came after the listener was closed.
    func admit(_ channel: any Channel) -> Bool {
        let isOpen = state.withLock { state in
            if state.isOpen { state.channels[ObjectIdentifier(channel)] = channel }
            return state.isOpen
        }
        guard isOpen else { return false }
        channel.closeFuture.whenComplete { [weak self] _ in
            self?.state.withLock { $0.channels[ObjectIdentifier(channel)] = nil }
        }
        return true
    }

    /// Lets no connection in any more and closes those that are open.
    func close() async {
        let channels = state.withLock { state in
            state.isOpen = false
            return Array(state.channels.values)
        }
        for channel in channels { channel.close(promise: nil) }
        // A channel's future comes after its handlers have been told, the end of `close` itself may come before.
        for channel in channels { try? await channel.closeFuture.get() }
    }
}
