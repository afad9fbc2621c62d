/// Decodes a whole body in the gzip format (RFC 1952), which some upstreams send though they were asked not to.
///
/// Small replies to writes alone are decoded: it is written for being right, not for speed.
package struct GzipBody {
    private static let maxCodeLength = 15

    private let input: [UInt8]
    private let maxBytes: Int
    private var position = 0
    private var bits: UInt32 = 0
    private var bitCount = 0
    private var output: [UInt8] = []

    private init(_ input: [UInt8], maxBytes: Int) {
        (self.input, self.maxBytes) = (input, maxBytes)
    }

    /// The decoded bytes; nil for what is damaged, cut short, followed by something else, or larger than `maxBytes`.
    package static func decoded(_ input: [UInt8], maxBytes: Int) -> [UInt8]? {
        var body = GzipBody(input, maxBytes: maxBytes)
        do {
            try body.skipHeader()
            try body.inflate()
            try body.checkTrailer()
        } catch {
            return nil
        }
        return body.output
    }

    private struct Damaged: Error {}

    // MARK: - The frame (RFC 1952 §2.3)

    private mutating func byte() throws(Damaged) -> UInt8 {
        guard self.position < self.input.count else { throw Damaged() }
        defer { self.position += 1 }
        return self.input[self.position]
    }

    private mutating func number(bytes: Int) throws(Damaged) -> UInt32 {
        var value: UInt32 = 0
        for index in 0..<bytes { value |= UInt32(try self.byte()) << (8 * UInt32(index)) }
        return value
    }

    private mutating func skipHeader() throws(Damaged) {
        guard try self.byte() == 0x1F, try self.byte() == 0x8B, try self.byte() == 8 else { throw Damaged() }
        let flags = try self.byte()
        guard flags & 0xE0 == 0 else { throw Damaged() }
        _ = try self.number(bytes: 4)
        _ = try self.number(bytes: 2)
        if flags & 0x04 != 0 {
            for _ in 0..<(try self.number(bytes: 2)) { _ = try self.byte() }
        }
        for flag in [0x08, 0x10] as [UInt8] where flags & flag != 0 {
            while try self.byte() != 0 {}
        }
        if flags & 0x02 != 0 { _ = try self.number(bytes: 2) }
    }

    private mutating func checkTrailer() throws(Damaged) {
        guard try self.number(bytes: 4) == Self.checksum(self.output),
            try self.number(bytes: 4) == UInt32(truncatingIfNeeded: self.output.count),
            self.position == self.input.count
        else { throw Damaged() }
    }

    /// CRC-32 (RFC 1952 §8).
    static func checksum(_ bytes: [UInt8]) -> UInt32 {
        var value = ~UInt32(0)
        for byte in bytes {
            value ^= UInt32(byte)
            for _ in 0..<8 { value = value & 1 == 1 ? value >> 1 ^ 0xEDB8_8320 : value >> 1 }
        }
        return ~value
    }

    // MARK: - The blocks (RFC 1951 §3.2)

    private mutating func bits(_ count: Int) throws(Damaged) -> Int {
        while self.bitCount < count {
            self.bits |= UInt32(try self.byte()) << UInt32(self.bitCount)
            self.bitCount += 8
        }
        let value = self.bits & ((1 << UInt32(count)) - 1)
        self.bits >>= UInt32(count)
        self.bitCount -= count
        return Int(value)
    }

    private mutating func inflate() throws(Damaged) {
        var isLast = false
        while !isLast {
            isLast = try self.bits(1) == 1
            switch try self.bits(2) {
            case 0: try self.copyStored()
            case 1: try self.expand(Self.fixedLiterals, Self.fixedDistances)
            case 2:
                let (literals, distances) = try self.codes()
                try self.expand(literals, distances)
            default: throw Damaged()
            }
        }
        // Fewer than eight bits are left over, and the trailer begins with a byte.
        (self.bits, self.bitCount) = (0, 0)
    }

    private mutating func emit(_ byte: UInt8) throws(Damaged) {
        guard self.output.count < self.maxBytes else { throw Damaged() }
        self.output.append(byte)
    }

    private mutating func copyStored() throws(Damaged) {
        (self.bits, self.bitCount) = (0, 0)
        let length = try self.number(bytes: 2)
        guard try self.number(bytes: 2) == ~length & 0xFFFF else { throw Damaged() }
        for _ in 0..<length { try self.emit(try self.byte()) }
    }

    /// A prefix code in canonical form: how many codes of each length there are, and their symbols in order.
    private struct Code {
        var counts = [Int](repeating: 0, count: GzipBody.maxCodeLength + 1)
        var symbols: [Int] = []

        /// - Parameter lengths: The length of each symbol's code; 0 for a symbol that does not occur.
        init(_ lengths: [Int]) throws(Damaged) {
            for length in lengths { self.counts[length] += 1 }
            self.counts[0] = 0
            var left = 1
            for length in 1...GzipBody.maxCodeLength {
                left = left * 2 - self.counts[length]
                guard left >= 0 else { throw Damaged() }
            }
            for length in 1...GzipBody.maxCodeLength {
                for (symbol, its) in lengths.enumerated() where its == length { self.symbols.append(symbol) }
            }
        }
    }

    private mutating func symbol(_ code: Code) throws(Damaged) -> Int {
        var (value, first, index) = (0, 0, 0)
        for length in 1...Self.maxCodeLength {
            value |= try self.bits(1)
            let count = code.counts[length]
            if value - first < count { return code.symbols[index + value - first] }
            index += count
            first = (first + count) << 1
            value <<= 1
        }
        throw Damaged()
    }

    private static let fixedLiterals = Self.fixed(
        (0..<288).map { symbol in symbol < 144 ? 8 : symbol < 256 ? 9 : symbol < 280 ? 7 : 8 }
    )
    private static let fixedDistances = Self.fixed([Int](repeating: 5, count: 30))

    private static func fixed(_ lengths: [Int]) -> Code {
        do throws(Damaged) { return try Code(lengths) } catch { preconditionFailure("the fixed codes are sound") }
    }

    private static let lengthOrder = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]

    private mutating func codes() throws(Damaged) -> (literals: Code, distances: Code) {
        let literalCount = try self.bits(5) + 257
        let distanceCount = try self.bits(5) + 1
        let lengthCount = try self.bits(4) + 4
        guard literalCount <= 286, distanceCount <= 30 else { throw Damaged() }
        var lengths = [Int](repeating: 0, count: 19)
        for index in 0..<lengthCount { lengths[Self.lengthOrder[index]] = try self.bits(3) }
        let code = try Code(lengths)
        var all: [Int] = []
        while all.count < literalCount + distanceCount {
            switch try self.symbol(code) {
            case 16:
                guard let last = all.last else { throw Damaged() }
                all += Array(repeating: last, count: try self.bits(2) + 3)
            case 17: all += Array(repeating: 0, count: try self.bits(3) + 3)
            case 18: all += Array(repeating: 0, count: try self.bits(7) + 11)
            case let length: all.append(length)
            }
        }
        guard all.count == literalCount + distanceCount, all[256] > 0 else { throw Damaged() }
        return (try Code(Array(all[..<literalCount])), try Code(Array(all[literalCount...])))
    }

    private static let lengthBase = [
        3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227,
        258,
    ]
    private static let lengthExtra = [
        0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0,
    ]
    private static let distanceBase = [
        1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097,
        6145,
        8193, 12289, 16385, 24577,
    ]
    private static let distanceExtra = [
        0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13,
    ]

    private mutating func expand(_ literals: Code, _ distances: Code) throws(Damaged) {
        while true {
            let symbol = try self.symbol(literals)
            if symbol < 256 {
                try self.emit(UInt8(symbol))
                continue
            }
            if symbol == 256 { return }
            guard symbol - 257 < Self.lengthBase.count else { throw Damaged() }
            let length = Self.lengthBase[symbol - 257] + (try self.bits(Self.lengthExtra[symbol - 257]))
            let code = try self.symbol(distances)
            let distance = Self.distanceBase[code] + (try self.bits(Self.distanceExtra[code]))
            guard distance <= self.output.count else { throw Damaged() }
            for _ in 0..<length { try self.emit(self.output[self.output.count - distance]) }
        }
    }
}
