import Foundation
import TestSupport
import Testing

/// Replies that are nearly right, in random pieces.
struct ReplyFuzz {
    /// How many inputs a run tries: `FUZZ_INPUTS`, or a few for every day.
    static let inputs = ProcessInfo.processInfo.environment["FUZZ_INPUTS"].flatMap { Int($0) } ?? 20_000

    private static let parts = [
        "HTTP/1.1 200 OK\r\n", "HTTP/1.0 200 OK\r\n", "HTTP/1.1 204\r\n", "HTTP/1.1 304 N\r\n", "HTTP/1.1 103 E\r\n",
        "HTTP/1.1 101 S\r\n", "HTTP/1.1 099 O\r\n", "Content-Length: 2\r\n", "Content-Length: 2, 2\r\n",
        "Content-Length: 99999999999999999999\r\n", "Transfer-Encoding: chunked\r\n", "Transfer-Encoding: gzip\r\n",
        "Connection: close\r\n", "Connection: keep-alive, x\r\n", "Keep-Alive: timeout=5, max=3\r\n",
        "X: caf\u{e9}\r\n",
        " folded\r\n", "\r\n", "\r\n", "\r\n", "{}", "2\r\nab\r\n", "0\r\n\r\n", "ffffffff\r\n", "1;x=\"y\"\r\nz\r\n",
        "T: 1\r\n",
        "\n", "\r", ":", " ", "\u{0}", ",", "HTTP/1.", "0",
    ]

    private var generator: SeededGenerator
    private var tally = Tally()

    /// What became of the inputs.
    private struct Tally: Codable {
        var commit: String?
        var seed: UInt64 = 0
        var inputs = 0
        var whole = 0
        var open = 0
        var malformed = 0
        var truncated = 0
        var differences = 0
        var seconds = 0.0
    }

    init(_ generator: SeededGenerator) {
        self.generator = generator
        self.tally.seed = generator.seed
    }

    /// Writes the tally to the file in `FUZZ_RESULT`, if there is one.
    func record(_ duration: Duration) throws {
        let environment = ProcessInfo.processInfo.environment
        guard let path = environment["FUZZ_RESULT"] else { return }
        var tally = self.tally
        tally.commit = environment["FUZZ_COMMIT"]
        tally.seconds = Double(duration.components.seconds)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        try encoder.encode(tally).write(to: URL(filePath: path))
    }

    private mutating func count(_ parsed: ParsedReplies) {
        self.tally.inputs += 1
        switch parsed.fault {
        case "truncated": self.tally.truncated += 1
        case .some: self.tally.malformed += 1
        case nil where parsed.isWhole: self.tally.whole += 1
        case nil: self.tally.open += 1
        }
    }

    /// Parses one input as a whole and in pieces, and compares.
    mutating func checkOne() {
        var bytes: [UInt8] = []
        for _ in 0..<Int.random(in: 1...12, using: &self.generator) {
            let part = Self.parts.randomElement(using: &self.generator) ?? ""
            bytes += part.unicodeScalars.map { UInt8(truncatingIfNeeded: $0.value) }
        }
        while !bytes.isEmpty, self.generator.chance(oneIn: 4) {
            let index = Int.random(in: 0..<bytes.count, using: &self.generator)
            bytes[index] = UInt8.random(in: 0...255, using: &self.generator)
        }
        let isHead = self.generator.chance(oneIn: 8)
        let closes = self.generator.chance(oneIn: 2)
        let whole = ParsedReplies(bytes, isHead: isHead, closes: closes)
        let cuts = (0..<Int.random(in: 1...4, using: &self.generator)).map { _ in
            Int.random(in: 0...bytes.count, using: &self.generator)
        }
        let pieces = ParsedReplies(bytes, isHead: isHead, cuts: cuts, closes: closes)
        self.count(whole)
        guard whole != pieces else { return }
        self.tally.differences += 1
        Issue.record("\(bytes) cut at \(cuts): \(whole) and \(pieces)")
    }
}
