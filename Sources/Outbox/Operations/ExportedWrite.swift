import DexatelAPI
package import Foundation
import NIOCore
import NIOHTTP1

/// A write outside of an outbox, as one line of an export.
///
/// Its key is sealed, and opens under the same master key alone (P7).
package struct ExportedWrite: Sendable, Equatable, Codable {
    /// The version of this form.
    package static let currentVersion = 1

    /// `currentVersion`.
    package var version: Int
    /// Its name in the outbox that it comes from.
    package var id: String
    /// Where it was there.
    package var state: String
    /// PUT or DELETE.
    package var method: String
    /// The audience's identifier.
    package var audience: String
    /// The contact's identifier.
    package var contact: String
    /// The raw request target.
    package var target: String
    /// Name and value of each header that is sent.
    package var headers: [[String]]
    /// The body.
    package var body: Data
    /// When it was accepted: wall clock, milliseconds since 1970.
    package var acceptedAtMilliseconds: Int64
    /// The fingerprint of its key.
    package var keyFingerprint: Data
    /// Its key, sealed; nil when the outbox did not have it any more.
    package var sealedKey: Data?
    /// The identifier of the master key that it is sealed under.
    package var masterKey: Data

    /// Puts one together again.
    package init(
        version: Int,
        id: String,
        state: String,
        method: String,
        audience: String,
        contact: String,
        target: String,
        headers: [[String]],
        body: Data,
        acceptedAtMilliseconds: Int64,
        keyFingerprint: Data,
        sealedKey: Data?,
        masterKey: Data
    ) {
        (self.version, self.id, self.state, self.method) = (version, id, state, method)
        (self.audience, self.contact, self.target, self.headers) = (audience, contact, target, headers)
        (self.body, self.acceptedAtMilliseconds) = (body, acceptedAtMilliseconds)
        (self.keyFingerprint, self.sealedKey, self.masterKey) = (keyFingerprint, sealedKey, masterKey)
    }

    /// What it sends.
    var payload: WritePayload {
        WritePayload(
            target: target,
            headers: HTTPHeaders(headers.compactMap { $0.count == 2 ? ($0[0], $0[1]) : nil }),
            body: ByteBuffer(bytes: body)
        )
    }
}

/// Why a line of an import is not taken; the lines before it are.
package enum ImportFault: Error, Sendable, Equatable {
    /// It is of a version that this release does not read, or not a write.
    case unreadable
    /// Its target is not that of its contact: it would be sent to another one, past that one's lane (P3).
    case targetElsewhere(id: String)
    /// Its key is missing, or sealed under another master key.
    case keySealed
    /// Its key is no API key, and could not be sent as one.
    case keyMalformed(id: String)
    /// There is no room for it.
    case unavailable(OutboxUnavailability)
    /// The outbox cannot be written.
    case storage(OutboxError)
}

/// Takes writes from elsewhere into the outbox: they count as accepted, at the end of the queue.
struct ImportWrites: CommitOperation {
    /// A write that was read and judged.
    struct Entry: Sendable {
        var contact: ContactReference
        var method: WriteMethod
        var payload: WritePayload
        var key: KnownKey
    }

    let entries: [Entry]
    let sink: any WriteAnswerSink
    let done: @Sendable (Result<[WriteID], OutboxError>) -> Void

    var acknowledges: Bool { true }

    func run(_ desk: inout CommitDesk) throws -> () -> Void {
        var ids: [WriteID] = []
        for entry in entries {
            let write = NewWrite(
                contact: entry.contact,
                method: entry.method,
                payload: entry.payload,
                key: entry.key,
                replyWaitMilliseconds: 0,
                sink: sink,
                token: 0
            )
            let row = try desk.row(of: entry.key)
            let nonce = Int64.random(in: .min ... .max)
            let pending = desk.ledger.accept(write, keyRow: row, nonce: nonce, idempotency: nil)
            ids.append(pending.id)
            desk.news.shown.append((pending.contact, row))
        }
        let keys = desk.keys
        return { [self, ids] in
            for entry in entries { keys.commit(entry.key) }
            done(.success(ids))
        }
    }

    func failed(_ error: OutboxError) { done(.failure(error)) }
}
