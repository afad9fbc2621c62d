import AdminAPI
import DexatelAPI
import Outbox

extension KeyList.Item {
    init(_ key: KeySummary) {
        self.init(
            fingerprint: key.fingerprint,
            createdAt: RFC3339.text(millisecondsSinceEpoch: key.createdAtMilliseconds)
        )
        verifiedAt = key.verifiedAtMilliseconds.map(RFC3339.text)
        refusedAt = key.refusedAtMilliseconds.map(RFC3339.text)
        successor = key.successor
        sealed = key.isSealed
        (pending, held, dead) = (key.pending, key.held, key.dead)
    }
}
