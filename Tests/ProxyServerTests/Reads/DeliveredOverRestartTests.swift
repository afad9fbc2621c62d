import DexatelAPI
import NIOCore
import NIOHTTP1
import ResponseCache
import Testing

@testable import ProxyServer

@Suite("What was delivered before a restart")
struct DeliveredOverRestartTests {
    private static let contact = ContactReference(audience: 1, contact: 2)
    private static let partition = CachePartition.key(high: 1, low: 1)

    private func overlay(maxDelivered: Int) -> PendingOverlay {
        let overlay = PendingOverlay(
            cache: MemoryCache(CacheConfiguration()),
            semantics: .unknown,
            maxDelivered: maxDelivered
        )
        var record = DeliveredRecord()
        record.entries = [
            .init(
                partition: Self.partition,
                contact: Self.contact,
                change: PendingChange(sequence: 1, effect: .delete, isDelivered: true),
                atMilliseconds: 100
            )
        ]
        overlay.restore(record)
        return overlay
    }

    private func reply(requestedAt milliseconds: Int64) -> StoredResponse {
        let times = ExchangeTimes(
            requestMilliseconds: milliseconds,
            responseMilliseconds: milliseconds,
            responseUnixSeconds: 0
        )
        return .unstored(ReplyHead(status: 200, headers: [:], times: times), body: ByteBuffer())
    }

    private func admits(
        _ overlay: PendingOverlay,
        _ target: String,
        _ partition: CachePartition = partition,
        requestedAt milliseconds: Int64
    ) -> Bool {
        overlay.admits(CacheKey(partition: partition, target: target), reply(requestedAt: milliseconds))
    }

    @Test("is remembered again, and then pages from disk are good to be laid under it")
    func remembered() {
        let overlay = overlay(maxDelivered: 10)
        #expect(overlay.record.entries.map(\.atMilliseconds) == [100])
        #expect(admits(overlay, Self.contact.listPath, requestedAt: 50))
    }

    @Test("of more lists than are told apart, pages from before are not used after the next restart either")
    func manyLists() {
        let first = overlay(maxDelivered: 0)
        var record = first.record
        for audience in 0...DeliveredChanges.maxHorizons {
            record.horizons.append(
                .init(partition: Self.partition, audience: UInt128(audience) + 1_000, atMilliseconds: 200)
            )
        }
        let second = PendingOverlay(cache: MemoryCache(CacheConfiguration()), semantics: .unknown)
        second.restore(record)
        #expect(second.record.horizons.count <= DeliveredChanges.maxHorizons)
        let third = PendingOverlay(cache: MemoryCache(CacheConfiguration()), semantics: .unknown)
        third.restore(second.record)
        for overlay in [second, third] {
            #expect(!admits(overlay, Self.contact.listPath, requestedAt: 100))
            #expect(admits(overlay, Self.contact.listPath, requestedAt: 201))
        }
    }

    @Test("without room to remember, pages from disk that lack it are not used, and all others are")
    func forgotten() {
        let overlay = overlay(maxDelivered: 0)
        let list = Self.contact.listPath
        #expect(!admits(overlay, list, requestedAt: 100))
        #expect(!admits(overlay, list + "?page_size=5", requestedAt: 50))
        #expect(admits(overlay, list, requestedAt: 101))
        #expect(admits(overlay, list, .key(high: 2, low: 2), requestedAt: 50))
        #expect(!admits(overlay, Self.contact.path + "?fields=all", requestedAt: 50))
        #expect(admits(overlay, Self.contact.path + "?fields=all", requestedAt: 101))
        // Whose own replies are taken from the disk one by one.
        #expect(admits(overlay, Self.contact.path, requestedAt: 50))
        #expect(overlay.record.horizons.count == 1)
    }
}
