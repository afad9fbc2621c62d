/// JSON strings, written byte by byte (RFC 8259 §7).
package enum JSONText {
    /// Appends a string in quotes; what must be escaped is, everything else goes as its UTF-8.
    package static func appendQuoted(_ s: String, to bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: "\""))
        for byte in s.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                bytes.append(UInt8(ascii: "\\"))
                bytes.append(byte)
            case UInt8(ascii: "\n"):
                bytes.append(contentsOf: "\\n".utf8)
            case UInt8(ascii: "\r"):
                bytes.append(contentsOf: "\\r".utf8)
            case UInt8(ascii: "\t"):
                bytes.append(contentsOf: "\\t".utf8)
            case 0..<0x20:
                bytes.append(contentsOf: "\\u00".utf8)
                bytes.append(HexDigit.digit(byte >> 4))
                bytes.append(HexDigit.digit(byte & 0x0F))
            default:
                bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }
}
