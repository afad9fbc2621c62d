import NIOCore

/// The bytes of a hit as they go on the wire, of which only the age and what follows from it ever change.
///
/// Layout: room, status line and fields that must come first, `Age` and `Cache-Status`, then at a fixed offset all
/// other fields and the body. What changes is written right before the fixed part, and what comes before it is moved
/// along if the number of digits changes. So a new second costs two short writes and no allocation, unless a
/// connection still holds the bytes: then `ByteBuffer` makes a copy, and that connection keeps what it has.
struct PreparedImage {
    private(set) var bytes: ByteBuffer
    private var ageSeconds = Int64.min
    private var changingBytes = 0
    private let fixedOffset: Int
    private let leadBytes: Int

    private static let ageName: StaticString = "Age: "
    private static let statusName: StaticString = "\r\nCache-Status: contact-relay; hit; ttl="
    private static let lineEnd: StaticString = "\r\n"
    private static let nameBytes =
        ageName.utf8CodeUnitCount + statusName.utf8CodeUnitCount + lineEnd.utf8CodeUnitCount

    /// What the changing part takes at most: the names and 20 digits for each of two numbers.
    static let maxChangingBytes = nameBytes + 2 * 20

    /// - Parameters:
    ///   - lead: Status line and first fields.
    ///   - fixed: Writes all that follows the changing part.
    init(lead: ByteBuffer, capacity: Int, fixed: (inout ByteBuffer) -> Void) {
        leadBytes = lead.readableBytes
        fixedOffset = leadBytes + Self.maxChangingBytes
        bytes = ByteBufferAllocator().buffer(capacity: fixedOffset + capacity)
        bytes.writeRepeatingByte(0, count: Self.maxChangingBytes)
        bytes.writeImmutableBuffer(lead)
        fixed(&bytes)
        bytes.moveReaderIndex(to: Self.maxChangingBytes)
    }

    /// The image for an age; an older one than that shown is not shown again.
    mutating func image(ageSeconds age: Int64, lifetimeSeconds: Int64) -> ByteBuffer {
        if age > ageSeconds {
            render(age, ttl: lifetimeSeconds - age)
            ageSeconds = age
        }
        return bytes
    }

    private mutating func render(_ age: Int64, ttl: Int64) {
        let count = Self.nameBytes + Self.digits(age) + Self.digits(ttl)
        let oldStart = fixedOffset - changingBytes - leadBytes
        let newStart = fixedOffset - count - leadBytes
        bytes.withVeryUnsafeMutableBytes { raw in
            if oldStart != newStart, let base = raw.baseAddress {
                (base + newStart).copyMemory(from: base + oldStart, byteCount: leadBytes)
            }
            var index = fixedOffset - count
            Self.put(Self.ageName, &index, raw)
            Self.put(age, &index, raw)
            Self.put(Self.statusName, &index, raw)
            Self.put(ttl, &index, raw)
            Self.put(Self.lineEnd, &index, raw)
        }
        bytes.moveReaderIndex(to: newStart)
        changingBytes = count
    }

    private static func digits(_ value: Int64) -> Int {
        var rest = value.magnitude
        var count = value < 0 ? 2 : 1
        while rest >= 10 {
            rest /= 10
            count += 1
        }
        return count
    }

    private static func put(_ text: StaticString, _ index: inout Int, _ raw: UnsafeMutableRawBufferPointer) {
        for offset in 0..<text.utf8CodeUnitCount { raw[index + offset] = text.utf8Start[offset] }
        index += text.utf8CodeUnitCount
    }

    private static func put(_ value: Int64, _ index: inout Int, _ raw: UnsafeMutableRawBufferPointer) {
        let count = digits(value)
        var rest = value.magnitude
        var position = index + count
        repeat {
            position -= 1
            raw[position] = UInt8(ascii: "0") + UInt8(rest % 10)
            rest /= 10
        } while rest > 0
        if value < 0 { raw[index] = UInt8(ascii: "-") }
        index += count
    }

    /// The bytes at an offset behind the start of the fixed part.
    func fixedPart(at offset: Int, length: Int) -> ByteBuffer? {
        bytes.getSlice(at: fixedOffset + offset, length: length)
    }

    /// Status line and first fields.
    var lead: ByteBuffer? { bytes.getSlice(at: bytes.readerIndex, length: leadBytes) }
}
