import Foundation

/// What a log (WAL) of SQLite holds, by its checksums (https://www.sqlite.org/fileformat2.html#walformat).
///
/// SQLite takes a log up to its first bad frame and says nothing of the rest. After a crash that is the torn end of a transaction
/// that nobody heard of; where whole frames stand behind a bad one, it may be damage.
struct LogScan: Equatable, Sendable {
    /// Frames before the first bad one.
    private(set) var frames = 0
    /// Whether whole frames stand behind a bad one.
    private(set) var hasFramesBehind = false

    private static let headerBytes = 32
    private static let frameHeaderBytes = 24

    /// Reads a log; an empty one has no frames.
    init(_ log: Data) {
        log.withUnsafeBytes { scan($0) }
    }

    private mutating func scan(_ log: UnsafeRawBufferPointer) {
        guard log.count >= Self.headerBytes + Self.frameHeaderBytes else { return }
        let magic = Self.word(log, 0)
        guard magic & ~1 == 0x377F_0682 else { return }
        let isBigEndian = magic & 1 == 1
        let pageBytes = Int(Self.word(log, 8))
        guard pageBytes >= 512, pageBytes <= 65_536, pageBytes & (pageBytes - 1) == 0 else { return }
        let frameBytes = Self.frameHeaderBytes + pageBytes
        let salts = (Self.word(log, 16), Self.word(log, 20))
        var sum = Checksum(isBigEndian: isBigEndian)
        sum.add(log, 0..<24)
        var isWhole = sum.words == (Self.word(log, 24), Self.word(log, 28))
        var offset = Self.headerBytes
        while offset + frameBytes <= log.count {
            // Each frame's checksum goes on from that of the frame before, which is stored with it.
            sum.add(log, offset..<offset + 8)
            sum.add(log, offset + Self.frameHeaderBytes..<offset + frameBytes)
            let stored = (Self.word(log, offset + 16), Self.word(log, offset + 20))
            let fits = sum.words == stored && (Self.word(log, offset + 8), Self.word(log, offset + 12)) == salts
            if fits, isWhole { frames += 1 }
            if fits, !isWhole {
                hasFramesBehind = true
                return
            }
            isWhole = isWhole && fits
            sum.words = stored
            offset += frameBytes
        }
    }

    private static func word(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> UInt32 {
        UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }

    private struct Checksum {
        let isBigEndian: Bool
        var words: (UInt32, UInt32) = (0, 0)

        mutating func add(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) {
            var (one, two) = words
            var offset = range.lowerBound
            while offset < range.upperBound {
                let first = bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)
                let second = bytes.loadUnaligned(fromByteOffset: offset + 4, as: UInt32.self)
                one &+= (isBigEndian ? UInt32(bigEndian: first) : UInt32(littleEndian: first)) &+ two
                two &+= (isBigEndian ? UInt32(bigEndian: second) : UInt32(littleEndian: second)) &+ one
                offset += 8
            }
            words = (one, two)
        }

        init(isBigEndian: Bool) { self.isBigEndian = isBigEndian }
    }
}
