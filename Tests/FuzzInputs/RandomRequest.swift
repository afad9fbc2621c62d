import Foundation
import HTTPWire
import NIOCore
import NIOEmbedded
import NIOHTTP1
import TestSupport

/// A request as it is written, and as it is to be read.
struct RandomRequest {
    var request: ParsedRequests.Request
    var bytes: [UInt8]

    init(_ random: inout SeededGenerator) {
        let method = ["GET", "PUT", "DELETE", "POST", "M-SEARCH", "OPTIONS", "X!y"].randomElement(using: &random) ?? ""
        let target = "/" + Self.text("abc/?=%&-.", 0...40, &random)
        let isHTTP10 = random.chance(oneIn: 8)
        var fields = (0..<Int.random(in: 0...6, using: &random)).map { _ in
            "\(Self.text("aBc-_19", 1...12, &random))x: \(Self.value(&random))"
        }
        if random.chance(oneIn: 4) {
            fields.append("Connection: Upgrade, HTTP2-Settings"); fields.append("Upgrade: h2c")
        }
        var body = (0..<Int.random(in: 0...80, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
        var framed = body
        // HTTP/1.0 has no transfer codings.
        switch Int.random(in: 0...(isHTTP10 ? 1 : 2), using: &random) {
        case 0: (body, framed) = ([], [])
        case 1: fields.append("Content-Length: \(body.count)")
        default:
            fields.append("Transfer-Encoding: chunked")
            framed = Self.chunked(body, &random)
        }
        fields.shuffle(using: &random)
        request = ParsedRequests.Request(
            method: method,
            target: target,
            isHTTP10: isHTTP10,
            fields: fields,
            body: body,
            isComplete: true
        )
        let lines =
            ["\(method) \(target) HTTP/1.\(isHTTP10 ? 0 : 1)"] + fields.map { Self.spaced($0, &random) } + ["", ""]
        bytes = Latin1.bytes(lines.joined(separator: "\r\n")) + framed
        if random.chance(oneIn: 8) { bytes = [0x0D, 0x0A] + bytes }
    }

    private static func text(_ letters: String, _ count: ClosedRange<Int>, _ random: inout SeededGenerator) -> String {
        let letters = Array(letters)
        return String(
            (0..<Int.random(in: count, using: &random)).map { _ in letters.randomElement(using: &random) ?? "a" }
        )
    }

    private static func value(_ random: inout SeededGenerator) -> String {
        let inner = text("az 09,;=\"\t\u{E9}\u{FF}", 0...30, &random)
        return inner.trimmingCharacters(in: CharacterSet(charactersIn: " \t"))
    }

    private static func spaced(_ field: String, _ random: inout SeededGenerator) -> String {
        guard random.chance(oneIn: 3), let colon = field.firstIndex(of: ":") else { return field }
        let space = { (random: inout SeededGenerator) in text(" \t", 0...3, &random) }
        return "\(field[..<colon]):\(space(&random))\(field[colon...].dropFirst(2))\(space(&random))"
    }

    private static func chunked(_ body: [UInt8], _ random: inout SeededGenerator) -> [UInt8] {
        var (framed, rest): ([UInt8], ArraySlice<UInt8>) = ([], body[...])
        while !rest.isEmpty {
            let piece = rest.prefix(Int.random(in: 1...rest.count, using: &random))
            rest = rest.dropFirst(piece.count)
            let size = String(piece.count, radix: 16, uppercase: random.chance(oneIn: 2))
            let zeros = random.chance(oneIn: 4) ? "000" : ""
            framed += Array("\(zeros)\(size)".utf8) + extensions(&random) + [0x0D, 0x0A] + piece + [0x0D, 0x0A]
        }
        let trailers = random.chance(oneIn: 4) ? "X-Trailer: a\r\n" : ""
        return framed + Array("0\r\n\(trailers)\r\n".utf8)
    }

    private static func extensions(_ random: inout SeededGenerator) -> [UInt8] {
        guard random.chance(oneIn: 4) else { return [] }
        let extensions = (0..<Int.random(in: 1...3, using: &random)).map { _ in
            let space = text(" \t", 0...2, &random)
            let name = "\(space);\(space)\(text("abc-", 1...4, &random))"
            switch Int.random(in: 0...2, using: &random) {
            case 0: return name
            case 1: return "\(name)\(space)=\(space)\(text("abc-", 1...4, &random))"
            default:
                let escaped = text("a;= \t\u{E9}\"", 0...9, &random).replacingOccurrences(of: "\"", with: "\\\"")
                return "\(name)=\(space)\"\(escaped)\""
            }
        }
        return Latin1.bytes(extensions.joined())
    }
}

extension [UInt8] {
    /// The bytes in pieces.
    func cut(_ random: inout SeededGenerator) -> [[UInt8]] {
        var (pieces, rest): ([[UInt8]], ArraySlice<UInt8>) = ([], self[...])
        let most = [1, 4, 40, 4000].randomElement(using: &random) ?? 1
        while !rest.isEmpty {
            let piece = rest.prefix(Int.random(in: 1...most, using: &random))
            pieces.append(Array(piece))
            rest = rest.dropFirst(piece.count)
        }
        return pieces
    }

    /// Changes, inserts, repeats or takes away something.
    mutating func damage(_ random: inout SeededGenerator) {
        guard !isEmpty else { return }
        let place = Int.random(in: 0..<count, using: &random)
        let suspects: [[UInt8]] = [
            "\r", "\n", "\r\n", "\r\n\r\n", " ", "\t", ":", ",", ";", "0", "\0", "Content-Length: 3\r\n",
            "Transfer-Encoding: chunked\r\n", "HTTP/1.1", "gzip, ", "-", "F",
        ].map { Array($0.utf8) }
        switch Int.random(in: 0...3, using: &random) {
        case 0: self[place] = UInt8.random(in: 0...255, using: &random)
        case 1: insert(contentsOf: suspects.randomElement(using: &random) ?? [], at: place)
        case 2: removeSubrange(place..<Swift.min(count, place + Int.random(in: 1...8, using: &random)))
        default: insert(contentsOf: self[place..<Swift.min(count, place + 16)], at: place)
        }
    }

    var debugText: String { Latin1.text(self).debugDescription }
}

/// swift-nio's decoder, which wraps llhttp.
enum OtherParser {
    /// The requests that it reads before it finds a fault.
    static func requests(_ bytes: [UInt8]) -> [ParsedRequests.Request] {
        let channel = EmbeddedChannel()
        defer { _ = try? channel.finish() }
        let decoder = HTTPRequestDecoder(leftOverBytesStrategy: .dropBytes)
        try? channel.pipeline.syncOperations.addHandler(ByteToMessageHandler(decoder))
        _ = try? channel.writeInbound(ByteBuffer(bytes: bytes))
        var requests: [ParsedRequests.Request] = []
        while let part = try? channel.readInbound(as: HTTPServerRequestPart.self) {
            switch part {
            case .head(let head):
                requests.append(
                    .init(
                        method: head.method.rawValue,
                        target: head.uri,
                        isHTTP10: head.version == .http1_0,
                        fields: []
                    )
                )
            case .body(let bytes): requests[requests.count - 1].body += Array(bytes.readableBytesView)
            case .end: requests[requests.count - 1].isComplete = true
            }
        }
        return requests
    }
}
