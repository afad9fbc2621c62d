import DexatelAPI
import Testing

@Suite struct APIKeySyntaxTests {
    @Test func `a key is visible ASCII, and of some length`() {
        for byte in UInt8.min ... .max {
            #expect(APIKeySyntax.admits([0x61, byte, 0x62]) == (0x21...0x7E).contains(byte), "\(byte)")
            #expect(APIKeySyntax.admits([byte]) == (0x21...0x7E).contains(byte), "\(byte)")
        }
        #expect(!APIKeySyntax.admits([]))
        #expect(APIKeySyntax.admits([UInt8](repeating: 0x61, count: APIKeySyntax.maxBytes)))
        #expect(!APIKeySyntax.admits([UInt8](repeating: 0x61, count: APIKeySyntax.maxBytes + 1)))
        #expect(APIKeySyntax.admits("94d2f2f2884848bca861264ad86d8ace".utf8))
    }

    @Test(arguments: [("caf\u{E9}", "cafe\u{301}"), ("\u{212A}ey", "Key"), ("a\u{37E}", "a;"), ("\u{1FEF}", "`")])
    func `texts that Unicode calls equal are different bytes`(_ one: String, _ other: String) {
        #expect(one == other, "or the test says nothing")
        #expect(!one.hasSameBytes(as: other) && !other.hasSameBytes(as: one))
        #expect(one.hasSameBytes(as: one) && one.hasSameBytes(as: one[...]))
        #expect(!APIKeySyntax.admits(one.utf8))
    }
}
