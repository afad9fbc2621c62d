/// A receipt, as far as the tests look at it.
struct Receipt: Decodable, Sendable {
    struct Response: Decodable, Sendable { var status: Int }

    var id: String
    var state: String
    var method: String
    var audienceId: String
    var contactId: String
    var sequence: Int64
    var attempts: Int
    var ambiguous: Bool
    var lastError: String?
    var response: Response?
    var supersededBy: String?
}

/// An error in the upstream's shape.
struct ErrorDocument: Decodable, Sendable {
    struct Item: Decodable, Sendable {
        var timestamp: String
        var path: String
        var method: String
        var status: Int
        var message: String
        var code: Int
    }

    var errors: [Item]
}

/// Problem details (RFC 9457).
struct ProblemDocument: Decodable, Sendable {
    var type: String
    var title: String
    var status: Int
    var detail: String
}

/// A request in the simulator's log.
struct LogEntry: Decodable, Sendable {
    struct Body: Decodable, Sendable { var data: [String: String?]? }

    var n: Int
    var timeMs: Int64
    var method: String
    var target: String
    /// Which key it was, in the order of first use.
    var keyIndex: Int?
    var contact: String?
    var body: Body?
    var status: Int
    var applied: Bool
    var fault: String?

    /// The value that tells the tests' writes apart.
    var firstName: String? { body?.data?["first_name"] ?? nil }
}
