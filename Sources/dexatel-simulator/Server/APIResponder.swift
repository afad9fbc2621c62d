import NIOCore
import Synchronization

/// The simulated API, shared by all connections and by the control calls.
final class APIResponder: HTTPResponder {
    private let core: Mutex<SimulatorCore>

    init(_ core: SimulatorCore) {
        self.core = Mutex(core)
    }

    var bodyLimitBytes: Int { 1_048_576 }

    var isSilent: Bool { core.withLock { $0.faults.mode == .blackHole } }

    func respond(to request: SimulatorRequest, on eventLoop: any EventLoop) -> HTTPAnswer {
        .now(core.withLock { $0.serve(request) })
    }

    func withdraw(_ delivery: Delivery) {
        core.withLock { $0.withdraw(delivery) }
    }

    func connectionOpened() {
        core.withLock { $0.counts.noteOpened() }
    }

    func connectionClosed() {
        core.withLock { $0.counts.noteClosed() }
    }

    /// Looks at or changes the core between two requests.
    func withCore<Result: Sendable>(_ body: (inout SimulatorCore) -> Result) -> Result {
        core.withLock { body(&$0) }
    }
}
