import DexatelAPI
import NIOCore
import Synchronization

@testable import Outbox

/// An upstream without a network: a script answers, and everything that was sent is kept.
final class ScriptedTransport: DeliveryTransport {
    /// One attempt, as the upstream saw it.
    struct Attempt: Sendable, Equatable {
        var contact: ContactReference
        var method: WriteMethod
        var body: String
        var apiKey: Secret
        /// Target, headers and body.
        var payload: WritePayload
    }

    private struct State {
        var attempts: [Attempt] = []
        var underWay: [ContactReference: Int] = [:]
        var sawOverlap = false
        var permitsOut = 0
        var isHealthy = true
        var admission: (@Sendable () -> DeliveryAdmission)?
    }

    private let state = Mutex(State())
    private let script: @Sendable (Attempt, Int) async -> DeliveryOutcome

    /// - Parameter script: Answers an attempt, given how many there were before it.
    init(_ script: @escaping @Sendable (Attempt, Int) async -> DeliveryOutcome) {
        self.script = script
    }

    var attempts: [Attempt] { state.withLock { $0.attempts } }
    /// Whether two attempts for one contact were ever under way together (P3).
    var sawOverlap: Bool { state.withLock { $0.sawOverlap } }
    /// Permits that were granted and neither used up nor given back.
    var permitsOut: Int { state.withLock { $0.permitsOut } }

    var isHealthy: Bool {
        get { state.withLock { $0.isHealthy } }
        set { state.withLock { $0.isHealthy = newValue } }
    }

    /// Decides what `admit` says; nil lets everything go.
    func admits(_ admission: (@Sendable () -> DeliveryAdmission)?) {
        state.withLock { $0.admission = admission }
    }

    func admit(_ contact: ContactReference) -> DeliveryAdmission {
        state.withLock { state in
            let answer = state.admission?() ?? .go(DeliveryPermit(0))
            if case .go = answer { state.permitsOut += 1 }
            return answer
        }
    }

    func begin(_ deliveries: [Delivery], for receiver: any DeliveryReceiver) {
        for delivery in deliveries {
            let attempt = Attempt(
                contact: delivery.contact,
                method: delivery.method,
                body: String(buffer: delivery.payload.body),
                apiKey: delivery.apiKey,
                payload: delivery.payload
            )
            let number = state.withLock { state in
                state.attempts.append(attempt)
                if state.underWay[attempt.contact, default: 0] > 0 { state.sawOverlap = true }
                state.underWay[attempt.contact, default: 0] += 1
                return state.attempts.count - 1
            }
            Task {
                let outcome = await self.script(attempt, number)
                self.state.withLock { state in
                    state.underWay[attempt.contact, default: 0] -= 1
                    state.permitsOut -= 1
                }
                receiver.ended([DeliveryEnd(sequence: delivery.sequence, outcome: outcome)])
            }
        }
    }

    func release(_ permit: DeliveryPermit) {
        state.withLock { $0.permitsOut -= 1 }
    }
}

/// A gate that attempts wait at until the test opens it.
final class Gate: Sendable {
    private let state = Mutex<(isOpen: Bool, waiting: [CheckedContinuation<Void, Never>])>((false, []))

    var waitingCount: Int { state.withLock { $0.waiting.count } }

    func pass() async {
        await withCheckedContinuation { continuation in
            let isOpen = state.withLock { state in
                if !state.isOpen { state.waiting.append(continuation) }
                return state.isOpen
            }
            if isOpen { continuation.resume() }
        }
    }

    func open() {
        let waiting = state.withLock { state in
            state.isOpen = true
            defer { state.waiting = [] }
            return state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }
}
