import DexatelAPI
import Foundation
import TestSupport
import Testing

@Suite struct JSONFuzzTests {
    private func isObject(_ bytes: [UInt8]) -> Bool { bytes.withUnsafeBytes { JSONDocument.isObject($0) } }

    private func foundationTakes(_ bytes: [UInt8]) -> Bool {
        (try? JSONSerialization.jsonObject(with: Data(bytes))) is [String: Any]
    }

    private func mutate(_ bytes: inout [UInt8], using random: inout SeededGenerator) {
        let alphabet =
            Array("{}[]:,\"\\/ \n0123456789-+.eEtrufalsn\u{1}\u{7f}é".utf8) + [0x80, 0xC0, 0xED, 0xA0, 0xF4, 0xFF]
        for _ in 0..<Int.random(in: 1...3, using: &random) where !bytes.isEmpty {
            let index = Int.random(in: 0..<bytes.count, using: &random)
            let byte = alphabet.randomElement(using: &random) ?? 0x20
            switch Int.random(in: 0..<4, using: &random) {
            case 0: bytes[index] = byte
            case 1: bytes.insert(byte, at: index)
            case 2: bytes.remove(at: index)
            default: bytes.swapAt(index, Int.random(in: 0..<bytes.count, using: &random))
            }
        }
    }

    /// Both judge the same mutated texts.
    ///
    /// Foundation differs from RFC 8259, so far as this test can see it, in NUL bytes and byte order marks (it guesses
    /// the encoding from them), which do not come out of `mutate`; in numbers that no `Double` holds and in a comma
    /// after an object's last member, which are left out here and judged by the grammar's tests.
    @Test func `mutated documents are well-formed exactly if Foundation says so`() {
        var random = SeededGenerator("mutations")
        var accepted = 0
        var refused = 0
        for _ in 0..<6000 {
            var document = RandomDocument(duplicateOneIn: 1000)
            var bytes = Array(document.object(depth: 3, using: &random).utf8)
            if random.chance(oneIn: 10) {
                #expect(isObject(bytes) && foundationTakes(bytes))
            }
            mutate(&bytes, using: &random)
            if isLeftToTheGrammarTests(bytes) { continue }
            let isRight = isObject(bytes)
            if isRight { accepted += 1 } else { refused += 1 }
            #expect(isRight == foundationTakes(bytes), "\(String(decoding: bytes, as: UTF8.self)), seed \(random.seed)")
        }
        #expect(accepted > 100 && refused > 100)
    }

    private func isLeftToTheGrammarTests(_ bytes: [UInt8]) -> Bool {
        let text = String(decoding: bytes, as: UTF8.self)
        return text.contains(/[eE][+\-]?[0-9]{3}/) || text.contains(/,[ \t\r\n]*[}\]]/)
    }

    @Test func `random bytes never trap and are never an object unless Foundation agrees`() {
        var random = SeededGenerator("random bytes")
        let alphabet = Array("{}[]:,\"\\u0dDeE1-. ".utf8) + [0xC3, 0xA9, 0x00, 0xFF]
        for _ in 0..<20_000 {
            let count = Int.random(in: 0...16, using: &random)
            let bytes = [UInt8(ascii: "{")] + (0..<count).map { _ in alphabet.randomElement(using: &random) ?? 0 }
            if isObject(bytes) { #expect(foundationTakes(bytes), "\(bytes), seed \(random.seed)") }
        }
    }

    private func rendered(_ value: Any) throws -> Data {
        try JSONSerialization.data(withJSONObject: [value], options: .sortedKeys)
    }

    @Test func `members lie where Foundation finds the same values`() throws {
        var random = SeededGenerator("members")
        for _ in 0..<1500 {
            var document = RandomDocument(duplicateOneIn: Int.max)
            let inner = document.object(depth: 3, using: &random)
            let body = Array(#"{"before":[{}], "data": \#(inner) ,"after":null}"#.utf8)
            let update = try ContactUpdate.check(body)
            let whole = try JSONSerialization.jsonObject(with: Data(body)) as? [String: Any]
            let data = try #require(whole?["data"] as? [String: Any])
            // Dictionaries of strings take canonically equivalent names for one; the number at a name's end prevents it.
            #expect(Set(update.fieldNames) == Set(data.keys), "seed \(random.seed)")
            for member in update.members {
                let value = try JSONSerialization.jsonObject(
                    with: Data(body[member.value]),
                    options: .fragmentsAllowed
                )
                let expected = try #require(data[member.name])
                #expect(try rendered(value) == rendered(expected), "\(member.name), seed \(random.seed)")
            }
        }
    }

    @Test func `quoted strings read back, whatever they hold`() throws {
        var random = SeededGenerator("quoted strings")
        for _ in 0..<2000 {
            var text = ""
            for _ in 0..<Int.random(in: 0...20, using: &random) {
                let bound: UInt32 = random.chance(oneIn: 2) ? 0x7F : 0x10FFFF
                if let scalar = Unicode.Scalar(UInt32.random(in: 0...bound, using: &random)) {
                    text.unicodeScalars.append(scalar)
                }
            }
            var bytes: [UInt8] = Array(#"{"a":"#.utf8)
            JSONText.appendQuoted(text, to: &bytes)
            bytes.append(UInt8(ascii: "}"))
            #expect(isObject(bytes))
            let read = try JSONSerialization.jsonObject(with: Data(bytes)) as? [String: String]
            #expect(read?["a"].map { Array($0.utf8) } == Array(text.utf8), "seed \(random.seed)")
        }
    }

    @Test func `control characters, quotes and backslashes are escaped and nothing else is`() {
        var bytes: [UInt8] = []
        JSONText.appendQuoted("a\"\\/\n\r\t\u{0}\u{1f}\u{7f}é😀", to: &bytes)
        #expect(String(decoding: bytes, as: UTF8.self) == #""a\"\\/\n\r\t\u0000\u001f"# + "\u{7f}é😀\"")
    }
}
