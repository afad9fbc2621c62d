import TestSupport
import Testing

@testable import ProxyServer

@Suite("What is remembered of contacts without pending writes")
struct UntouchedContactsTests {
    @Test("a contact counts as untouched only as it was noted: any change ends it, and none of others does")
    func model() {
        var random = SeededGenerator("untouched contacts")
        var untouched = UntouchedContacts(maxMarks: 1 << 12)
        let hashes = (0..<20_000).map { _ in UInt64.random(in: .min ... .max, using: &random) }
        var counts = [UInt64](repeating: 0, count: hashes.count)
        var noted = [UInt64?](repeating: nil, count: hashes.count)
        for _ in 0..<200_000 {
            let contact = Int.random(in: hashes.indices, using: &random)
            switch Int.random(in: 0..<4, using: &random) {
            case 0:
                untouched.note(hashes[contact], changes: counts[contact])
                noted[contact] = counts[contact]
            case 1: counts[contact] += 1
            default:
                guard untouched.contains(hashes[contact], changes: counts[contact]) else { continue }
                #expect(noted[contact] == counts[contact], "seed \(random.seed)")
            }
        }
    }

    @Test("as many contacts as there is room for are nearly all remembered, and more take no more room")
    func room() {
        var random = SeededGenerator("room for untouched contacts")
        var untouched = UntouchedContacts(maxMarks: 1 << 14)
        let hashes = (0..<(1 << 13)).map { _ in UInt64.random(in: .min ... .max, using: &random) }
        for _ in 0..<8 {
            for hash in hashes where !untouched.contains(hash, changes: 7) { untouched.note(hash, changes: 7) }
        }
        let remembered = hashes.count { untouched.contains($0, changes: 7) }
        #expect(remembered > hashes.count * 9 / 10)
        for number in 0..<UInt64(200_000) { untouched.note(number << 20, changes: 0) }
        #expect(hashes.count { untouched.contains($0, changes: 7) } < remembered)
    }
}
