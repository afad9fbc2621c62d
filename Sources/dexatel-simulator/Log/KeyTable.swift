/// Numbers API keys in the order of first use.
struct KeyTable: Sendable {
    private var indexes: [String: Int] = [:]

    /// Further keys get no number.
    static let limit = 10_000

    mutating func index(of key: String) -> Int? {
        if let index = indexes[key] { return index }
        guard indexes.count < Self.limit else { return nil }
        indexes[key] = indexes.count
        return indexes.count - 1
    }
}
