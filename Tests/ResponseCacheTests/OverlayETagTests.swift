import ResponseCache
import Testing

@Suite struct OverlayETagTests {
    @Test(arguments: [
        ("", "6c62272e07bb014262b821756295c58d"), ("a", "d228cb696f1a8caf78912b704e4a8964"),
        ("ab", "08809544bbab1be95aa0733055b69a62"), ("abc", "a68d622cec8b5822836dbc7977af7f3b"),
        ("foobar", "343e1662793c64bf6f0d3597ba446f18"),
    ])
    func `the tag is strong and the same in every process`(body: String, digits: String) {
        #expect(OverlayETag.text(for: Array(body.utf8)) == "\"relay-\(digits)\"")
    }

    @Test func `bodies that differ in one bit have different tags`() {
        var body = Array(#"{"data":{"id":"fe84f52d-d05e-4af6-b93a-08dc0110f536","first_name":"Ann"}}"#.utf8)
        var tags: Set<String> = [OverlayETag.text(for: body)]
        for index in body.indices {
            for bit in 0..<8 {
                body[index] ^= 1 << bit
                tags.insert(OverlayETag.text(for: body))
                body[index] ^= 1 << bit
            }
        }
        #expect(tags.count == body.count * 8 + 1)
    }
}
