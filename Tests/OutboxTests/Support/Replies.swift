import DexatelAPI
import Synchronization

@testable import Outbox

/// What an upstream answers, changed by the test as it goes; 200 to everything else.
final class Replies: Sendable {
    private let state = Mutex<(byContact: [ContactReference: DeliveryOutcome], byKey: [Secret: DeliveryOutcome])>(
        ([:], [:])
    )

    private let sent = Mutex<[ScriptedTransport.Attempt]>([])

    /// Everything that was sent.
    var attempts: [ScriptedTransport.Attempt] { sent.withLock { $0 } }

    /// Everything to this contact is answered so; nil for 200.
    func contact(_ number: Int, _ outcome: DeliveryOutcome?) {
        state.withLock { $0.byContact[Sample.contact(number)] = outcome }
    }

    /// Everything with this key is answered so; nil for 200.
    func key(_ key: String, _ outcome: DeliveryOutcome?) {
        state.withLock { $0.byKey[Secret(key)] = outcome }
    }

    /// What an attempt is answered.
    func outcome(_ attempt: ScriptedTransport.Attempt) -> DeliveryOutcome {
        sent.withLock { $0.append(attempt) }
        return state.withLock { $0.byKey[attempt.apiKey] ?? $0.byContact[attempt.contact] } ?? Sample.outcome(200)
    }

    /// An upstream that answers like that.
    var transport: ScriptedTransport { ScriptedTransport { [self] attempt, _ in outcome(attempt) } }
}
