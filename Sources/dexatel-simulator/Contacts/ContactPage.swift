/// Which page of a list is asked for, and the `pagination` object that describes it.
struct ContactPage: Sendable, Equatable {
    /// Counted from 1.
    let number: Int
    let size: Int
    let search: String?

    static let defaultSize = 50
    static let maxSize = 1000

    /// Reads `page_token`, `page_size` and `filter[search]`; nil where one of them makes no sense.
    init?(_ request: SimulatorRequest) {
        let query = request.query
        func value(_ name: String) -> String? { query.first { $0.name == name }?.value }
        size = value("page_size").map { Int($0) ?? 0 } ?? Self.defaultSize
        number = value("page_token").map { Self.number(ofToken: $0) ?? 0 } ?? 1
        search = value("filter[search]")
        guard (1...Self.maxSize).contains(size), number >= 1 else { return nil }
    }

    /// Writes the members `pagination` and `links`.
    func write(to writer: inout JSONWriter, total: Int, url: String) {
        let last = max(1, (total + size - 1) / size)
        writer.name("pagination")
        writer.beginObject()
        writer.member("number", number)
        writer.member("size", size)
        writer.member("total", total)
        writer.name("links")
        writer.beginObject()
        writer.member("first", link(url, to: 1))
        writer.member("current", link(url, to: number))
        if number > 1 { writer.member("previous", link(url, to: min(number - 1, last))) }
        if number < last { writer.member("next", link(url, to: number + 1)) }
        writer.endObject()
        writer.endObject()
        writer.name("links")
        writer.beginObject()
        writer.member("self", link(url, to: number))
        writer.endObject()
    }

    /// A token is opaque to clients.
    static func token(_ number: Int) -> String {
        "t" + String(UInt64(number) &+ 0x9e37_79b9, radix: 36)
    }

    private static func number(ofToken token: String) -> Int? {
        guard token.first == "t", let raw = UInt64(token.dropFirst(), radix: 36), raw > 0x9e37_79b9 else { return nil }
        return Int(exactly: raw - 0x9e37_79b9)
    }

    private func link(_ url: String, to number: Int) -> String {
        let filter = search.map { "&filter%5Bsearch%5D=\(PercentCoding.encode($0))" } ?? ""
        return "\(url)?page_token=\(Self.token(number))&page_size=\(size)\(filter)"
    }
}
