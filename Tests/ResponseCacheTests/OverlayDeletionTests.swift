import DexatelAPI
import ResponseCache
import Testing

@Suite struct OverlayDeletionTests {
    private let base = Array(#"{"data":{"a":0}}"#.utf8)

    private func withoutBase(_ changes: [PendingChange]) -> ContactOverlay.Result {
        ContactOverlay.render(base: nil, contact: Overlay.contact, changes: changes, semantics: .merge)
    }

    @Test func `a contact with a pending DELETE is gone, whether it was cached or not`() {
        let changes = [Overlay.put(1, #"{"a":1}"#), Overlay.delete(2)]
        #expect(Overlay.render(base, changes) == .deleted(pendingCount: 2))
        #expect(withoutBase(changes) == .deleted(pendingCount: 2))
        #expect(Overlay.render(Array("garbage".utf8), [Overlay.delete(2)]) == .deleted(pendingCount: 1))
    }

    @Test func `a delivered DELETE is not counted`() {
        #expect(Overlay.render(base, [Overlay.delete(2, delivered: true)]) == .deleted(pendingCount: 0))
    }

    @Test func `a PUT behind a DELETE brings nothing back, for the upstream will refuse it`() {
        let changes = [Overlay.delete(1), Overlay.put(2, #"{"a":1}"#)]
        #expect(Overlay.render(base, changes) == .deleted(pendingCount: 2))
        #expect(withoutBase(changes) == .deleted(pendingCount: 2))
        #expect(
            Overlay.render(base, [Overlay.delete(1, delivered: true), Overlay.put(2, "{}")])
                == .deleted(pendingCount: 1)
        )
    }

    @Test func `a held DELETE that a delivered PUT overtook is neither shown nor counted`() {
        let changes = [
            Overlay.delete(1), Overlay.put(2, #"{"a":2}"#, delivered: true), Overlay.put(3, #"{"b":3}"#),
        ]
        #expect(
            Overlay.render(base, changes)
                == .replaced(body: Array(#"{"data":{"a":2,"b":3}}"#.utf8), pendingCount: 1, isPartial: false)
        )
        #expect(Overlay.render(base, changes + [Overlay.delete(4)]) == .deleted(pendingCount: 3))
    }

    @Test func `fields without a base do not make a contact`() {
        #expect(withoutBase([]) == .noBase(pendingCount: 0))
        #expect(
            withoutBase([Overlay.put(1, #"{"a":1}"#), Overlay.put(2, "{}", delivered: true)])
                == .noBase(pendingCount: 1)
        )
    }
}
