import NIOCore
import Synchronization
import TestSupport
import Testing

@testable import ProxyServer

@Suite("Body inlet")
struct BodyInletTests {
    private final class Demand: Sendable {
        let count = Atomic<Int>(0)
        var value: Int { count.load(ordering: .sequentiallyConsistent) }
    }

    private func inlet() -> (BodyInlet, Demand) {
        let demand = Demand()
        return (BodyInlet { demand.count.add(1, ordering: .sequentiallyConsistent) }, demand)
    }

    private let block = ByteBuffer(repeating: 0, count: 64 * 1024)

    @Test("nothing is asked of the client before somebody wants it")
    func firstDemand() async throws {
        let (inlet, demand) = inlet()
        #expect(demand.value == 0 && !inlet.isStarved)
        async let piece = RequestBodyPieces(inlet: inlet).makeAsyncIterator().next()
        try await eventually("the demand") { demand.value == 1 && inlet.isStarved }
        #expect(inlet.offer(ByteBuffer(string: "a")))
        #expect(try await piece == ByteBuffer(string: "a"))
    }

    @Test("the connection is stopped at the bound, and read on when little is left")
    func watermarks() async throws {
        let (inlet, demand) = inlet()
        let iterator = RequestBodyPieces(inlet: inlet).makeAsyncIterator()
        // What comes unasked is kept, but nothing more is to come.
        #expect(!inlet.offer(block))
        _ = try await iterator.next()
        #expect(demand.value == 1)
        #expect(inlet.offer(block) && inlet.offer(block) && inlet.offer(block))
        #expect(!inlet.offer(block))
        #expect(inlet.waitingBytes == BodyInlet.maxWaitingBytes)
        for _ in 0..<2 { _ = try await iterator.next() }
        #expect(demand.value == 1)
        _ = try await iterator.next()
        #expect(demand.value == 2)
        #expect(inlet.waitingBytes == BodyInlet.resumesAtBytes)
    }

    @Test("a body ends behind its pieces")
    func end() async throws {
        let (inlet, _) = inlet()
        _ = inlet.offer(ByteBuffer(string: "a"))
        inlet.finish()
        var text = ""
        for try await piece in RequestBodyPieces(inlet: inlet) { text += String(buffer: piece) }
        #expect(text == "a")
    }

    @Test("a body that breaks off throws, whether its reader waits already or comes later", arguments: [false, true])
    func failure(readerWaits: Bool) async throws {
        let (inlet, _) = inlet()
        if !readerWaits {
            _ = inlet.offer(ByteBuffer(string: "a"))
            inlet.fail()
        }
        async let piece = RequestBodyPieces(inlet: inlet).makeAsyncIterator().next()
        if readerWaits {
            try await eventually("the reader") { inlet.isStarved }
            inlet.fail()
        }
        do {
            _ = try await piece
            Issue.record("the reader got something")
        } catch {
            #expect(error is BodyInlet.BodyBrokeOff)
        }
    }

    @Test("when nobody reads any more, what comes is thrown away and the client goes on")
    func abandoned() async throws {
        let (inlet, demand) = inlet()
        do { _ = RequestBodyPieces(inlet: inlet).makeAsyncIterator() }
        #expect(demand.value == 1)
        for _ in 0..<100 { #expect(inlet.offer(block)) }
        #expect(inlet.waitingBytes == 0)
    }
}
