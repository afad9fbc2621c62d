import HTTPWire
import NIOCore

/// The text of header fields: bytes on the wire, strings with one Unicode scalar per byte in memory (``Latin1``).
enum FieldText {
    /// Reads a field value or name.
    static func string(_ bytes: UnsafeRawBufferPointer, isASCII: Bool) -> String {
        isASCII ? String(decoding: bytes, as: UTF8.self) : Latin1.text(bytes)
    }

    /// Writes a field value.
    ///
    /// - Returns: False when the value has a control character, and nothing was written.
    static func write(value: String, to buffer: inout ByteBuffer) -> Bool {
        var value = value
        let hasControl = value.withUTF8 { bytes -> Bool? in
            var isASCII = true
            for byte in bytes {
                if byte < 0x20 ? byte != 0x09 : byte == 0x7F { return true }
                if byte >= 0x80 { isASCII = false }
            }
            guard isASCII else { return nil }
            buffer.writeBytes(bytes)
            return false
        }
        if let hasControl { return !hasControl }
        buffer.writeLatin1(value)
        return true
    }

    /// Whether a text is a token (RFC 9110 §5.6.2), as methods and field names are.
    static func isToken(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy(self.isTokenByte)
    }

    /// Whether a byte may stand in a token.
    static func isTokenByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
        case 0x21, 0x23...0x27, 0x2A, 0x2B, 0x2D, 0x2E, 0x5E...0x60, 0x7C, 0x7E: true
        default: false
        }
    }
}

extension UnsafeRawBufferPointer {
    /// Compares with a lower-case ASCII name, letter case aside.
    func isSameName(as lowercase: StaticString) -> Bool {
        guard self.count == lowercase.utf8CodeUnitCount else { return false }
        for index in 0..<self.count {
            let byte = self[index]
            let lower = (0x41...0x5A).contains(byte) ? byte | 0x20 : byte
            if lower != lowercase.utf8Start[index] { return false }
        }
        return true
    }
}
