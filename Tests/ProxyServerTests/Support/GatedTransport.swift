import DexatelAPI
import NIOCore
import NIOHTTP1
import Outbox
import Synchronization

/// Delivers nothing until it is opened, and then everything.
final class GatedTransport: DeliveryTransport {
    private let isOpenNow: Atomic<Bool>

    init(isOpen: Bool = false) { isOpenNow = Atomic(isOpen) }

    /// What the upstream answers to every write.
    let replyBody = Mutex(#"{"data":{}}"#)

    /// With which status.
    let replyStatus = Mutex(200)

    /// What the upstream makes of a write, and answers.
    let onSend = Mutex<(@Sendable (Delivery) -> String)?>(nil)

    func open() { isOpenNow.store(true, ordering: .sequentiallyConsistent) }

    private var isOpen: Bool { isOpenNow.load(ordering: .sequentiallyConsistent) }

    var isHealthy: Bool { isOpen }

    func admit(_ contact: ContactReference) -> DeliveryAdmission {
        isOpen ? .go(DeliveryPermit(0)) : .wait(milliseconds: 3_600_000)
    }

    func begin(_ deliveries: [Delivery], for receiver: any DeliveryReceiver) {
        let ends = deliveries.map { delivery in
            let body = onSend.withLock { $0 }?(delivery) ?? replyBody.withLock { $0 }
            let reply = DeliveryReply(
                status: replyStatus.withLock { $0 },
                headers: ["Content-Type": "application/json"],
                body: ByteBuffer(string: body),
                retryAfterMilliseconds: nil
            )
            return DeliveryEnd(sequence: delivery.sequence, outcome: .reply(reply))
        }
        // As from an event loop, not from within.
        Task { receiver.ended(ends) }
    }

    func release(_ permit: DeliveryPermit) {}
}
