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
    let done: @Sendable (Result<Void, OutboxError>) -> Void

    func run(_ desk: inout CommitDesk) throws -> () -> Void {
        desk.ledger.stop(contact, isStopped, try desk.storage.laneCounts(of: contact))
        desk.news.stopped.append((contact, isStopped))
        return { [done] in done(.success(())) }
    }

    func failed(_ error: OutboxError) { done(.failure(error)) }
}

/// Notes that deaths were told, or when they are to be told again.
struct NoteTold: CommitOperation {
    let deaths: [OutboxTransaction.Death]
    let retryAt: RelayTime?
    let done: @Sendable (Result<Void, OutboxError>) -> Void

    func run(_ desk: inout CommitDesk) throws -> () -> Void {
        for death in deaths {
            if let retryAt { desk.ledger.tellLater(death, at: retryAt) } else { desk.ledger.told(death) }
        }
        return { [done] in done(.success(())) }
    }

    func failed(_ error: OutboxError) { done(.failure(error)) }
}
