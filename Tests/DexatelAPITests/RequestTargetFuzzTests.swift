import DexatelAPI
import TestSupport
import Testing

@Suite struct RequestTargetFuzzTests {
    /// Writes a path in another way that decodes to it.
    private func respell(_ segments: [String], using random: inout SeededGenerator) -> String {
        var path = ""
        if random.chance(oneIn: 8) {
            path += ["http://host", "https://h:1", "HTTP://u@h"].randomElement(using: &random) ?? ""
        }
        for segment in segments {
            path += separator(using: &random)
            for byte in segment.utf8 { path += spell(byte, using: &random) }
            if random.chance(oneIn: 12) { path += [";", ";v=1", ";jsessionid=a"].randomElement(using: &random) ?? "" }
        }
        if random.chance(oneIn: 6) { path += ["/", "//", "/.", "/x/..", "%2F"].randomElement(using: &random) ?? "" }
        if random.chance(oneIn: 6) { path += ["?", "?a=b/../c", "?%2e%2e"].randomElement(using: &random) ?? "" }
        return path
    }

    private func separator(using random: inout SeededGenerator) -> String {
        guard random.chance(oneIn: 6) else { return "/" }
        let spellings = [
            "//", "/./", "/x/../", "/%2e/", "/x/%2E./", "///", "/%2F", "/.//", "/\\", "/x/y/../../", "/x/..;/", "/%5c",
        ]
        return spellings.randomElement(using: &random) ?? "/"
    }

    private func spell(_ byte: UInt8, using random: inout SeededGenerator) -> String {
        guard random.chance(oneIn: 20) else { return String(UnicodeScalar(byte)) }
        var octet = String(byte, radix: 16, uppercase: random.chance(oneIn: 2))
        if octet.utf8.count == 1 { octet = "0" + octet }
        return (random.chance(oneIn: 4) ? "%25" : "%") + octet
    }

    @Test func `no spelling of a contact is another contact or passes as something else`() throws {
        var random = SeededGenerator("contact spellings")
        var canonical = 0
        for _ in 0..<20_000 {
            let contact = ContactReference(
                audience: UInt128.random(in: 0...UInt128.max, using: &random),
                contact: UInt128.random(in: 0...UInt128.max, using: &random)
            )
            let segments = ["v1", "audiences", contact.audienceText, "contacts", contact.contactText]
            let target = respell(segments, using: &random)
            switch RequestTarget.classify(target) {
            case .contact(let found):
                canonical += 1
                #expect(found == contact, "\(target), seed \(random.seed)")
                #expect(target.contains(contact.path), "\(target), seed \(random.seed)")
            case .contactNotCanonical:
                #expect(!target.hasPrefix(contact.path + "?") && target != contact.path)
            case let wrong:
                Issue.record("\(target) is \(wrong), seed \(random.seed)")
            }
        }
        #expect(canonical > 0)
    }

    @Test func `no spelling of a reserved path is anything else`() {
        var random = SeededGenerator("reserved spellings")
        for _ in 0..<20_000 {
            let target = respell(["_relay", "writes", "x"], using: &random)
            guard case .relay = RequestTarget.classify(target) else {
                Issue.record("\(target) is \(RequestTarget.classify(target)), seed \(random.seed)")
                continue
            }
        }
    }

    @Test func `changing one byte of a contact's path never leads to another contact unless it is the one written`() {
        var random = SeededGenerator("contact mutations")
        let path = "/v1/audiences/01234567-89ab-cdef-0123-456789abcdef/contacts/fedcba98-7654-3210-fedc-ba9876543210"
        for _ in 0..<20_000 {
            var bytes = Array(path.utf8)
            let index = Int.random(in: 0..<bytes.count, using: &random)
            bytes[index] = UInt8.random(in: 1...127, using: &random)
            let target = String(decoding: bytes, as: UTF8.self)
            if case .contact(let found) = RequestTarget.classify(target) {
                #expect(target.prefix { $0 != "?" }.lowercased() == found.path, "seed \(random.seed)")
            }
        }
    }
}
