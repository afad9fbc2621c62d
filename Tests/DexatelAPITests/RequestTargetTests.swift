import DexatelAPI
import Testing

private let a = "01234567-89ab-cdef-0123-456789abcdef"
private let c = "fedcba98-7654-3210-fedc-ba9876543210"
private let aDecoded: UInt128 = 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef
private let reference = ContactReference(
    audience: aDecoded,
    contact: 0xfedc_ba98_7654_3210_fedc_ba98_7654_3210
)

@Suite struct RequestTargetTests {
    @Test(arguments: [
        "/v1/audiences/\(a)/contacts/\(c)",
        "/v1/audiences/\(a)/contacts/\(c)?",
        "/v1/audiences/\(a)/contacts/\(c)?x=%2D/../_relay//",
        "/v1/audiences/\(a.uppercased())/contacts/\(c.uppercased())",
        "http://api.example/v1/audiences/\(a)/contacts/\(c)",
        "HTTPS://user@api.example:8443/v1/audiences/\(a)/contacts/\(c)?x",
    ])
    func `a contact's canonical path is that contact`(target: String) {
        #expect(RequestTarget.classify(target) == .contact(reference))
    }

    @Test(arguments: [
        "/v1/audiences/\(a)/contacts", "/v1/audiences/\(a.uppercased())/contacts?page_size=2",
        "http://h/v1/audiences/\(a)/contacts", "/v1/audiences/\(a)/contacts/",
        "/v1/audiences/\(a)/contacts/?page_size=2",
        "/v1//audiences/\(a)/./contacts", "/v1/audiences/\(a)/c%6Fntacts", "/v1/audiences/\(a)/contacts/x/..",
        "/v1/audiences/\(a)/contacts;v=1",
    ])
    func `an audience's contacts are a list`(target: String) {
        #expect(RequestTarget.classify(target) == .contactList(audience: aDecoded))
    }

    @Test(arguments: [
        "/v1/audiences/x/contacts/\(c)", "/v1/audiences/\(a)/contacts/x", "/v1/audiences/x/contacts/y?z",
        "/v1/audiences/\(a)/contacts/\(c)0", "/v1/audiences/\(a)0/contacts/\(c)",
        "/v1/audiences/\(a)/contacts/\(c.dropLast())", "/v1/audiences/\(a)/contacts/.hidden",
        "/v1/audiences/\(a)/contacts/\(c).json", "/v1/audiences/\(a)/contacts/\(c)%20",
        "/v1/audiences/%7Ba%7D/contacts/\(c)", "/v1/audiences/\(a)/contacts/%zz", "/v1/audiences/\(a)/contacts/x/",
        "/v1/audiences/\(a)/contacts/\(c.dropLast())g", "/v1/audiences/\(a)/contacts/search",
    ])
    func `identifiers that are no UUIDs are told`(target: String) {
        #expect(RequestTarget.classify(target) == .contactIdentifierInvalid)
    }

    @Test(arguments: [
        // Encoded octets, once and more often.
        "/v1/audiences/\(a)/contacts/fedcba98%2D7654-3210-fedc-ba9876543210",
        "/v1/audiences/\(a)/contacts/fedcba98%2d7654-3210-fedc-ba9876543210",
        "/v1/audiences/\(a)/contacts/fedcba98%252D7654-3210-fedc-ba9876543210",
        "/v1/audiences/\(a)/contacts/fedcba98%2%44" + "7654-3210-fedc-ba9876543210",
        "/v1/%61udiences/\(a)/contacts/\(c)", "/v1/%2561udiences/\(a)/contacts/\(c)",
        "/%76%31/audiences/\(a)/contacts/\(c)",
        "%2Fv1/audiences/\(a)/contacts/\(c)",
        // Slashes.
        "/v1/audiences/\(a)/contacts/\(c)/", "/v1/audiences/\(a)/contacts/\(c)//?x",
        "//v1/audiences/\(a)/contacts/\(c)",
        "/v1//audiences/\(a)/contacts/\(c)", "/v1/audiences/\(a)/contacts//\(c)", "/v1/audiences/\(a)/contacts%2F\(c)",
        "/v1/audiences/\(a)/contacts/\(c)%2f", "/v1\\audiences\\\(a)\\contacts\\\(c)",
        "\\v1/audiences/\(a)/contacts/\(c)",
        "/v1/audiences/\(a)/contacts%5C\(c)",
        // Dot segments.
        "/./v1/audiences/\(a)/contacts/\(c)", "/../v1/audiences/\(a)/contacts/\(c)",
        "/v1/audiences/\(a)/contacts/\(c)/.", "/v1/audiences/\(a)/contacts/\(c)/x/..",
        "/v1/audiences/\(a)/contacts/x/../\(c)", "/v1/audiences/\(a)/contacts/x/%2e%2E/\(c)",
        "/v1/audiences/\(a)/contacts/x/.%2e/\(c)", "/v1/audiences/\(a)/contacts/%2e/\(c)",
        "/_relay/../v1/audiences/\(a)/contacts/\(c)", "/v1/audiences/\(a)/contacts/x%2F..%2f\(c)",
        // What some servers cut off.
        "/v1/audiences/\(a)/contacts/\(c);x=1", "/v1;x/audiences/\(a)/contacts/\(c)",
        "/v1/x/..;/audiences/\(a)/contacts/\(c)",
        "/v1/audiences/\(a)/contacts/\(c)#x", "/v1/audiences/\(a)/contacts/\(c)%23x",
        "/v1/audiences/\(a)/contacts/\(c)%3Fx",
        "/v1/audiences/\(a)/contacts/\(c)%00", "/v1/audiences/\(a)/contacts/\(c)%00/x",
        "/v1/audiences/\(a)/contacts/\(c)#/x",
        // The absolute form of such a path.
        "http://h/v1/audiences/\(a)/contacts/\(c)/", "http://h//v1/audiences/\(a)/contacts/\(c)",
        "http://h\\v1/audiences/\(a)/contacts/\(c)",
        // Readings that differ in the order of decoding, cutting and dot segments.
        "/v1/x//../audiences/\(a)/contacts/\(c)", "/v1/x%2Fy/../audiences/\(a)/contacts/\(c)",
        "/v1/x\\y/../audiences/\(a)/contacts/\(c)", "/v1/x/%2e%2e/../../audiences/\(a)/contacts/\(c)",
        "/v1;x=%2Fy/audiences/\(a)/contacts/\(c)", "//host/v1/audiences/\(a)/contacts/\(c)",
    ])
    func `another spelling of a contact is told apart from it`(target: String) {
        #expect(RequestTarget.classify(target) == .contactNotCanonical)
    }

    @Test(arguments: [
        ("/_relay", "/_relay"), ("/_relay/live", "/_relay/live"), ("/_relay/status?x=/y", "/_relay/status"),
        ("/_relay?x", "/_relay"), ("//_relay/x", "/_relay/x"), ("/%5Frelay/x", "/_relay/x"), ("/%5frelay", "/_relay"),
        ("/%255Frelay/x", "/_relay/x"), ("/v1/../_relay/x", "/_relay/x"), ("/./_relay/", "/_relay"),
        ("/_relay//x", "/_relay/x"), ("/..%2F_relay/x", "/_relay/x"), ("\\_relay\\x", "/_relay/x"),
        ("/%2F_relay/x", "/_relay/x"), ("/_relay;v=1/x", "/_relay/x"), ("/x/..;/_relay/x", "/_relay/x"),
        ("/_relay%00/x", "/_relay/x"), ("/_relay#x", "/_relay"), ("http://h/_relay/x", "/_relay/x"),
        ("HTTP://h//_relay/x", "/_relay/x"), ("http://h\\_relay/x", "/_relay/x"), ("%2f_relay/x", "/_relay/x"),
        ("/_relay/a%20b", "/_relay/a b"), ("/x%2Fy/../_relay/x", "/_relay"), ("/x//../../_relay", "/_relay"),
        ("//host/_relay/x", "/_relay"), ("/_relay/../_relay/x", "/_relay/x"),
    ])
    func `the reserved paths are found under every spelling`(target: String, path: String) {
        #expect(RequestTarget.classify(target) == .relay(path: path))
    }

    @Test(arguments: [
        "", "*", "/", "//", "/.", "/..", "?", "/?/_relay", "api.example:443", "api.example",
        "v1/audiences/\(a)/contacts/\(c)",
        "_relay/live", "/v1", "/v1/messages", "/v1/messages/\(c)", "/v1/audiences", "/v1/audiences/",
        "/v1/audiences/\(a)",
        "/v1/audiences/\(a)/contact/\(c)", "/v1/audiences/\(a)/contacts/\(c)/tags",
        "/v1/audiences/x/contacts", "/V1/audiences/\(a)/contacts/\(c)", "/v1/Audiences/\(a)/contacts/\(c)",
        "/v1/audiences/\(a)/CONTACTS/\(c)", "/v2/audiences/\(a)/contacts/\(c)", "/v1/audiences/../contacts/\(c)",
        "/v1/audiences/\(a)/contacts/..", "/_relayed", "/_rela", "/_RELAY/x", "/x/_relay", "/_relay/../v1", "/v1/a%20b",
        "/v1/messages/%2e%2e/x", "/a;b/c", "http://h", "http://h?/_relay", "http://h#/_relay", "http:/v1",
        "/v1/audiences//contacts",
        "/x/v1/audiences/\(a)/contacts/\(c)", "/v1/x/../y/z", "/%", "/%2", "/%%%", "/é",
    ])
    func `everything else is other`(target: String) {
        #expect(RequestTarget.classify(target) == .other)
    }

    @Test func `thousands of nested octets are decoded in one pass`() {
        let nested = "/%" + String(repeating: "25", count: 100_000) + "5Frelay/x"
        #expect(RequestTarget.classify(nested) == .relay(path: "/_relay/x"))
    }
}
