/// Something that no relay may take, and how it is to be refused.
struct BadInput: Sendable {
    var name: String
    var bytes: String
    var status: Int
    var code = 0
    var slug: String

    private static func request(
        _ target: String = Samples.target,
        method: String = "PUT",
        key: String? = Samples.key,
        type: String? = "application/json",
        fields: [String] = [],
        body: String = Samples.body,
        length: Bool = true
    ) -> String {
        var head = ["\(method) \(target) HTTP/1.1", "Host: localhost"]
        if let key { head.append("X-Dexatel-Key: \(key)") }
        if let type { head.append("Content-Type: \(type)") }
        if length { head.append("Content-Length: \(body.utf8.count)") }
        return (head + fields).joined(separator: "\r\n") + "\r\n\r\n" + body
    }

    private static func body(_ name: String, _ body: String, _ code: Int = 0) -> BadInput {
        BadInput(
            name: name,
            bytes: request(body: body),
            status: 400,
            code: code,
            slug: code == 0 ? "body_invalid" : "field_too_long"
        )
    }

    private static func target(_ name: String, _ target: String) -> BadInput {
        BadInput(name: name, bytes: request(target), status: 400, slug: "target_not_canonical")
    }

    static let all = heads + targets + bodies + sizes

    private static let heads = [
        BadInput(name: "no key", bytes: request(key: nil), status: 401, slug: "key_missing"),
        BadInput(name: "an empty key", bytes: request(key: ""), status: 401, slug: "key_missing"),
        BadInput(
            name: "no key to DELETE",
            bytes: request(method: "DELETE", key: nil),
            status: 401,
            slug: "key_missing"
        ),
        BadInput(name: "no media type", bytes: request(type: nil), status: 415, slug: "media_type"),
        BadInput(name: "another media type", bytes: request(type: "text/plain"), status: 415, slug: "media_type"),
        BadInput(
            name: "a compressed body",
            bytes: request(fields: ["Content-Encoding: gzip"]),
            status: 415,
            slug: "content_encoding"
        ),
        BadInput(
            name: "a precondition",
            bytes: request(fields: [#"If-Match: "1""#]),
            status: 503,
            slug: "precondition_not_queued"
        ),
        BadInput(
            name: "a head over 16 KiB",
            bytes: request(fields: (0..<20).map { "X-Filler-\($0): " + String(repeating: "x", count: 1_024) }),
            status: 431,
            slug: "head_too_large"
        ),
        BadInput(
            name: "one field over 16 KiB",
            bytes: request(fields: ["X-Filler: " + String(repeating: "x", count: 20_000)]),
            status: 431,
            slug: "head_too_large"
        ),
        BadInput(
            name: "garbage",
            bytes: "\u{16}\u{3}\u{1} this is not HTTP\r\n\r\n",
            status: 400,
            slug: "malformed_request"
        ),
        BadInput(
            name: "two lengths",
            bytes: request(fields: ["Content-Length: 3"]),
            status: 400,
            slug: "malformed_request"
        ),
    ]

    private static let targets: [BadInput] = {
        let identifier = { (name: String, target: String) in
            BadInput(name: name, bytes: request(target), status: 400, code: 1352, slug: "contact_identifier")
        }
        return [
            identifier("a contact that is no UUID", Samples.target("42")),
            identifier("a contact that is too long", Samples.target(Samples.contact + "0")),
            identifier("an audience that is no UUID", "/v1/audiences/x/contacts/\(Samples.contact)"),
            target("a trailing slash", Samples.target + "/"),
            target("an escaped hyphen", Samples.target.replacing("-", with: "%2D")),
            target("an escaped letter", Samples.target.replacing("/contacts/", with: "/%63ontacts/")),
            target("dot segments", "/v1/messages/.." + Samples.target.dropFirst(3)),
            target("a dot segment", Samples.target.replacing("/contacts/", with: "/./contacts/")),
            target("a double slash", "/" + Samples.target),
            target("a double slash within", Samples.target.replacing("/contacts/", with: "//contacts/")),
        ]
    }()

    private static let bodies = [
        body("no body", ""),
        body("broken JSON", #"{"data":{"first_name":"Ada""#),
        body("text behind the JSON", Samples.body + "x"),
        body("an array at the top", "[]"),
        body("a member twice", #"{"data":{"first_name":"Ada","first_name":"Eve"}}"#),
        body("data twice", #"{"data":{},"data":{}}"#),
        body("an escaped member twice", #"{"data":{"first_name":"Ada","first\u005fname":"Eve"}}"#),
        body("data is an array", #"{"data":[]}"#),
        body("a number as first_name", #"{"data":{"first_name":7}}"#),
        body("33 characters in first_name", Samples.body(String(repeating: "a", count: 33)), 1361),
        body("33 emoji in last_name", #"{"data":{"last_name":"\#(String(repeating: "🦀", count: 33))"}}"#, 1362),
        body("33 characters in timestamp", #"{"data":{"timestamp":"\#(String(repeating: "1", count: 33))"}}"#, 1363),
        body("71 characters in date", #"{"data":{"date":"\#(String(repeating: "1", count: 71))"}}"#, 1364),
    ]

    private static let sizes: [BadInput] = {
        let mebibyte = 1 << 20
        let body = #"{"data":{"first_name":""# + String(repeating: "a", count: mebibyte) + #""}}"#
        let chunk = String(repeating: " ", count: 4_096)
        let chunks = String(repeating: "1000\r\n\(chunk)\r\n", count: mebibyte / 4_096) + "0\r\n\r\n"
        let tooLarge = { (name: String, bytes: String) in
            BadInput(name: name, bytes: bytes, status: 413, slug: "body_too_large")
        }
        return [
            tooLarge("a body of 1 MiB", request(body: body)),
            tooLarge(
                "a body of 1 MiB that is announced and not sent",
                request(fields: ["Content-Length: \(mebibyte)", "Expect: 100-continue"], body: "", length: false)
            ),
            tooLarge(
                "a chunked body of 1 MiB",
                request(fields: ["Transfer-Encoding: chunked"], body: chunks, length: false)
            ),
        ]
    }()
}
