import DexatelAPI
import Testing

@Suite struct SecretTests {
    private struct Request {
        let key: Secret?
        let keys: [String: Secret]
    }

    @Test func `nothing that describes a secret shows it`() {
        let secret = Secret("s3cr3t-key")
        var dumped = ""
        dump(secret, to: &dumped)
        dump(Request(key: secret, keys: ["a": secret]), to: &dumped)
        let texts = [
            "\(secret)", String(describing: secret), String(reflecting: secret), secret.description,
            secret.debugDescription, "\(Request(key: secret, keys: ["a": secret]))", String(reflecting: [secret]),
            dumped,
            "\(Mirror(reflecting: secret))", "\(Optional(secret) as Any)",
        ]
        for text in texts {
            #expect(!text.contains("s3cr3t"))
            #expect(!text.contains("115"), "the first byte as a number")
        }
        #expect("\(secret)" == "<redacted>")
        #expect(String(reflecting: secret) == "<redacted>")
        #expect(dumped.contains("<redacted>"))
        #expect(Mirror(reflecting: secret).children.isEmpty)
    }

    @Test func `secrets are equal exactly if all their bytes are`() {
        #expect(Secret("abc") == Secret([0x61, 0x62, 0x63]))
        #expect(Secret("abc").hashValue == Secret("abc".utf8).hashValue)
        for other in ["abd", "bbc", "acc", "ab", "abcd", "", "ABC"] { #expect(Secret("abc") != Secret(other)) }
        #expect(Secret("") == Secret([]))
        #expect(Set([Secret("a"), Secret("a"), Secret("b")]).count == 2)
    }

    @Test func `what was put in comes out`() {
        #expect(Secret("kéy").exposedText == "kéy")
        #expect(Secret([1, 2, 255]).bytes == [1, 2, 255])
        #expect(DexatelHeader.apiKey == "X-Dexatel-Key")
    }
}
