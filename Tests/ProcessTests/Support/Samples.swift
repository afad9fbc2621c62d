import NIOHTTP1

/// The request that the project started from, and what varies it.
enum Samples {
    static let key = "94d2f2f2884848bca861264ad86d8ace"
    static let audience = "22089fd7-7b74-4815-8452-3a8e864affbc"
    static let contact = "fe84f52d-d05e-4af6-b93a-08dc0110f536"
    static let target = target(contact)
    static let body = body("Ada")

    static func target(_ contact: String) -> String { "/v1/audiences/\(audience)/contacts/\(contact)" }

    /// All four fields, as clients write them: with spaces, which must reach the upstream as they are.
    static func body(_ firstName: String) -> String {
        #"{"data": {"first_name": "\#(firstName)", "last_name": "Lovelace", "timestamp": "1815-12-10", "date": "10 December"}}"#
    }

    static func headers(_ key: String = key, _ more: [(String, String)] = []) -> HTTPHeaders {
        HTTPHeaders([("X-Dexatel-Key", key), ("Content-Type", "application/json")] + more)
    }
}
