package import DexatelAPI

/// A contact that an operator has stopped.
package struct StoppedContact: Sendable, Equatable {
    /// The contact.
    package var contact: ContactReference
    /// When it was stopped: wall clock, milliseconds since 1970.
    package var stoppedAtMilliseconds: Int64
}

/// Stops a contact, or lets it go; kept over restarts.
struct StopContact: CommitOperation {
    let contact: ContactReference
    let isStopped: Bool
    let engine: DeliveryEngine
    let done: @Sendable (Result<Void, OutboxError>) -> Void

    func run(_ desk: inout CommitDesk) throws -> () -> Void {
        desk.ledger.stop(contact, isStopped)
        return { [self] in
            if isStopped { engine.stop(contact) } else { engine.restart(contact) }
            done(.success(()))
        }
    }

    func failed(_ error: OutboxError) { done(.failure(error)) }
}

/// Notes that deaths were told, or when they are to be told again.
struct NoteTold: CommitOperation {
    let told: [Int64]
    let retryAt: RelayTime?
    let done: @Sendable (Result<Void, OutboxError>) -> Void

    func run(_ desk: inout CommitDesk) throws -> () -> Void {
        for sequence in told {
            if let retryAt { desk.ledger.tellLater(sequence, at: retryAt) } else { desk.ledger.told(sequence) }
        }
        return { [done] in done(.success(())) }
    }

    func failed(_ error: OutboxError) { done(.failure(error)) }
}
