import Synchronization
import TestSupport

@testable import Outbox

/// Keeps every answer that each token got, to be counted.
final class CollectingSink: WriteAnswerSink {
    private let answers = Mutex<[UInt64: [WriteAnswer]]>([:])
    private let total = Mutex(0)

    func take(_ answers: [(token: UInt64, answer: WriteAnswer)]) {
        self.answers.withLock { all in
            for (token, answer) in answers { all[token, default: []].append(answer) }
        }
        total.withLock { $0 += answers.count }
    }

    func answers(to token: UInt64) -> [WriteAnswer] { answers.withLock { $0[token] ?? [] } }

    var all: [UInt64: [WriteAnswer]] { answers.withLock { $0 } }

    var count: Int { total.withLock { $0 } }

    /// Waits until so many answers are there.
    func waitForAnswers(_ wanted: Int) async throws {
        try await eventually("\(wanted) answers") { self.count >= wanted }
    }
}

extension WriteAnswer {
    var writeID: WriteID? {
        switch self {
        case .accepted(let id), .replied(let id, _): id
        case .repeated(let receipt): receipt.id
        case .unavailable, .notRepeated, .idempotencyConflict: nil
        }
    }

    /// 202, the upstream's status, or 503: what a client would see.
    var status: Int {
        switch self {
        case .accepted: 202
        case .replied(_, let reply): reply.status
        case .repeated: 202
        case .idempotencyConflict: 422
        case .notRepeated: 503
        case .unavailable: 503
        }
    }
}
