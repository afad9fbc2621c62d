import CZlib

/// Decodes a whole body in the gzip format (RFC 1952), which some upstreams send though they were asked not to.
package enum GzipBody {
    /// The most that is decoded at a time.
    private static let pieceBytes = 16 << 10
    /// Has zlib expect gzip's header and trailer, and no others (`inflateInit2`).
    private static let windowBits = MAX_WBITS + 16

    /// The decoded bytes; nil for what is damaged, cut short, followed by something else, or larger than `maxBytes`.
    package static func decoded(_ input: [UInt8], maxBytes: Int) -> [UInt8]? {
        guard let inputBytes = UInt32(exactly: input.count) else { return nil }
        var stream = z_stream()
        let size = Int32(MemoryLayout<z_stream>.size)
        guard inflateInit2_(&stream, windowBits, ZLIB_VERSION, size) == Z_OK else { return nil }
        defer { inflateEnd(&stream) }
        var (input, output) = (input, [UInt8]())
        return input.withUnsafeMutableBufferPointer { input in
            stream.next_in = input.baseAddress
            stream.avail_in = inputBytes
            var status = Z_OK
            while status == Z_OK {
                // One byte more than there is room for shows that it is too much.
                let capacity = min(pieceBytes, maxBytes + 1 - output.count)
                guard capacity > 0 else { return nil }
                output += [UInt8](unsafeUninitializedCapacity: capacity) { piece, count in
                    stream.next_out = piece.baseAddress
                    stream.avail_out = UInt32(capacity)
                    status = inflate(&stream, Z_NO_FLUSH)
                    count = capacity - Int(stream.avail_out)
                }
            }
            // Z_BUF_ERROR: it goes on where the input ends.
            return status == Z_STREAM_END && stream.avail_in == 0 && output.count <= maxBytes ? output : nil
        }
    }
}
