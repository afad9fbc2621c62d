import AdminAPI
import DexatelAPI
import Foundation
import Outbox

/// What the webhook is told of a dead write (docs/http-api.md); it grows by addition only, and holds no API key.
struct DeadWriteEvent: Encodable, Equatable {
    /// The upstream's final reply.
    struct Response: Encodable, Equatable {
        var status: Int
        /// Its body as text, cut at 16 KiB.
        var body: String
    }

    let event = "contact_write.dead"
    /// The same however often this death is told.
    var eventId: String
    /// The write's receipt.
    var id: String
    var method: String
    var audienceId: String
    var contactId: String
    var sequence: Int64
    var acceptedAt: String
    var diedAt: String
    var reason: String
    var attempts: Int64
    var ambiguous: Bool
    /// The fingerprint of the key that made it, as `contact-relay key list` shows it.
    var apiKey: String
    /// Nil when the upstream has not answered; left out then.
    var response: Response?

    init(_ dead: DeadWrite) {
        eventId = dead.deathID
        id = dead.id.description
        method = dead.method.name
        audienceId = dead.contact.audienceText
        contactId = dead.contact.contactText
        sequence = dead.id.sequence
        acceptedAt = RFC3339.text(millisecondsSinceEpoch: dead.acceptedAtMilliseconds)
        diedAt = RFC3339.text(millisecondsSinceEpoch: dead.endedAtMilliseconds)
        reason = dead.reason
        attempts = dead.attempts
        ambiguous = dead.isAmbiguous
        apiKey = dead.keyFingerprint
        response = dead.status.map { Response(status: $0, body: String(decoding: dead.body ?? [], as: UTF8.self)) }
    }

    func rendered() throws -> [UInt8] { Array(try AdminJSON.encode(self)) }
}
