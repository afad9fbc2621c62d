import AdminAPI
import DexatelAPI
import NIOCore
import Outbox

/// What the outbox knows, as operators see it.
extension WriteSummary {
    init(_ entry: WriteEntry, now: Int64) {
        let receipt = entry.receipt
        self.init(
            id: receipt.id.description,
            state: receipt.state.rawValue,
            method: receipt.method.name,
            contact: ContactName(receipt.contact),
            sequence: receipt.id.sequence
        )
        hold = receipt.hold.name
        keyFingerprint = receipt.keyFingerprint.description
        acceptedAt = RFC3339.text(millisecondsSinceEpoch: receipt.acceptedAtMilliseconds)
        ageMilliseconds = max(0, now - receipt.acceptedAtMilliseconds)
        endedAt = receipt.endedAtMilliseconds.map(RFC3339.text)
        attempts = receipt.attempts
        nextAttemptAt = receipt.nextAttemptAtMilliseconds.map(RFC3339.text)
        lastError = receipt.lastError
        responseStatus = receipt.responseStatus
        errorCode = receipt.responseBody.flatMap { $0.withUnsafeBytes(DexatelErrorBody.firstCode) }
        ambiguous = receipt.isAmbiguous
        storedBytes = entry.storedBytes
        supersededBy = receipt.supersededBy?.description
    }
}

extension WriteDetail {
    init(_ details: WriteDetails, now: Int64) {
        let receipt = details.entry.receipt
        self.init(
            write: WriteSummary(details.entry, now: now),
            lastAttempts: receipt.lastAttempts.entries.map {
                Attempt(
                    startedAt: RFC3339.text(millisecondsSinceEpoch: $0.startedAtMilliseconds),
                    durationMilliseconds: $0.durationMilliseconds,
                    status: $0.status,
                    error: $0.error
                )
            }
        )
        if let payload = details.payload {
            target = payload.target
            headers = payload.headers.map { [$0.name, $0.value] }
            body = String(decoding: payload.body.readableBytesView, as: UTF8.self)
        }
        fieldNames = details.fieldNames
        responseBody = receipt.responseBody.map { String(decoding: $0, as: UTF8.self) }
    }
}

extension WriteChangeReply {
    init(_ result: OperationResult, next: Int64?) {
        self.init()
        changed = result.changed
        refused = result.refused
        reasons = OperationResult.Reason.allCases.compactMap { reason in
            result.reasons[reason].map { Reason(reason: reason.rawValue, count: $0) }
        }
        refusals = result.refusals.map { Refusal(id: $0.id.description, reason: $0.reason.rawValue) }
        self.next = next
    }
}
