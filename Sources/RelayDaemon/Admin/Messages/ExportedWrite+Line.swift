import AdminAPI
import Outbox

/// Writes on their way from one outbox to another.
extension ExportedWriteLine {
    init(_ write: ExportedWrite) {
        self.init(
            version: write.version,
            id: write.id,
            state: write.state,
            method: write.method,
            contact: ContactName(audienceId: write.audience, contactId: write.contact),
            target: write.target,
            headers: write.headers,
            body: write.body,
            acceptedAtMilliseconds: write.acceptedAtMilliseconds,
            keyFingerprint: write.keyFingerprint,
            sealedKey: write.sealedKey,
            masterKey: write.masterKey
        )
    }
}

extension ExportedWrite {
    init(_ line: ExportedWriteLine) {
        self.init(
            version: line.version,
            id: line.id,
            state: line.state,
            method: line.method,
            audience: line.audienceId,
            contact: line.contactId,
            target: line.target,
            headers: line.headers,
            body: line.body,
            acceptedAtMilliseconds: line.acceptedAtMilliseconds,
            keyFingerprint: line.keyFingerprint,
            sealedKey: line.sealedKey,
            masterKey: line.masterKey
        )
    }
}
