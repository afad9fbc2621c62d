package import DexatelAPI

/// A contact that an operator has stopped.
package struct StoppedContact: Sendable, Equatable {
    /// The contact.
    package var contact: ContactReference
    /// When it was stopped: wall clock, milliseconds since 1970.
    package var stoppedAtMilliseconds: Int64
}

/// Stops contacts, or lets them go; kept over restarts.
struct StopContacts: CommitOperation {
    /// Contacts that one of them changes at most, so that senders hardly wait.
    static let maxContacts = 256

    let contacts: [ContactReference]
    let isStopped: Bool
    /// How many were changed.
    let done: @Sendable (Result<Int, OutboxError>) -> Void

    func run(_ desk: inout CommitDesk) throws -> () -> Void {
        var changed = 0
        for contact in contacts where desk.ledger.transaction.stoppedContacts.contains(contact) != isStopped {
            desk.ledger.stop(contact, isStopped, try desk.storage.laneCounts(of: contact))
            desk.news.stopped.append((contact, isStopped))
            changed += 1
        }
        return { [done, changed] in done(.success(changed)) }
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
