import TestSupport
import Testing

@testable import Outbox

@Suite struct WriteIDTests {
    @Test func `a name reads back as the write that it names`() {
        var generator = SeededGenerator(seed: 1)
        var writes = [(1, 0), (.max, -1), (1, .min)].map { WriteID(sequence: $0, nonce: $1) }
        for _ in 0..<2_000 {
            writes.append(
                WriteID(
                    sequence: .random(in: 1 ... .max, using: &generator),
                    nonce: .random(in: .min ... .max, using: &generator)
                )
            )
        }
        for write in writes {
            let text = write.description
            #expect(text.utf8.count == 26)
            #expect(WriteID(text) == write)
        }
        #expect(Set(writes.map(\.description)).count == writes.count)
    }

    @Test func `any other text names nothing`() {
        let name = WriteID(sequence: 4711, nonce: 42).description
        let tail = String(name.dropFirst())
        func without(_ count: Int) -> String { String(name.dropLast(count)) }
        let others: [String] = [
            "", "0", without(1), name + "0", name.uppercased(), " " + tail,
            "8" + tail, "z" + tail, String(repeating: "0", count: 26),
            String(repeating: "z", count: 26), without(1) + "i", without(1) + "l", without(1) + "o",
            without(1) + "u", without(2) + "é", "٠" + tail.dropFirst(),
            // The highest bit of the sequence: a negative one.
            "4" + String(repeating: "0", count: 25),
        ]
        for other in others { #expect(WriteID(other) == nil, "\(other)") }
        var generator = SeededGenerator(seed: 2)
        for _ in 0..<2_000 {
            let length = Int.random(in: 0...40, using: &generator)
            let text = String(
                decoding: (0..<length).map { _ in UInt8.random(in: 1...127, using: &generator) },
                as: UTF8.self
            )
            if let read = WriteID(text) { #expect(read.description == text) }
        }
    }
}
