import NIOHTTP1

/// The replies in the bytes that a connection has brought, each with `Content-Length` or without a body.
struct RawReplies {
    private(set) var replies: [Answer] = []
    private var remaining: ArraySlice<UInt8>

    /// - Parameter toHead: Which replies have no body in spite of their length.
    init(_ text: String, toHead: Set<Int> = []) {
        remaining = Array(text.utf8)[...]
        while let reply = next(isToHead: toHead.contains(replies.count)) { replies.append(reply) }
    }

    /// What does not make up a whole reply.
    var rest: String { String(decoding: remaining, as: UTF8.self) }

    private mutating func next(isToHead: Bool) -> Answer? {
        var unread = remaining
        guard let statusLine = Self.line(&unread),
            let status = statusLine.split(separator: " ").dropFirst().first.flatMap({ Int($0) })
        else { return nil }
        var headers = HTTPHeaders()
        while true {
            guard let line = Self.line(&unread) else { return nil }
            if line.isEmpty { break }
            let parts = line.split(separator: ":", maxSplits: 1)
            guard parts.count == 2 else { return nil }
            headers.add(name: String(parts[0]), value: String(parts[1].drop { $0 == " " }))
        }
        let length = isToHead ? 0 : headers.first(name: "Content-Length").flatMap { Int($0) } ?? 0
        guard unread.count >= length else { return nil }
        remaining = unread.dropFirst(length)
        return Answer(status: status, headers: headers, body: Array(unread.prefix(length)))
    }

    private static func line(_ bytes: inout ArraySlice<UInt8>) -> String? {
        guard let end = bytes.firstIndex(of: UInt8(ascii: "\n")), end > bytes.startIndex,
            bytes[end - 1] == UInt8(ascii: "\r")
        else { return nil }
        let line = String(decoding: bytes[..<(end - 1)], as: UTF8.self)
        bytes = bytes[(end + 1)...]
        return line
    }
}
