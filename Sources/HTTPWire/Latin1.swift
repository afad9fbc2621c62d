package import NIOCore

/// Field values as text: each Unicode scalar of the text stands for one byte (ISO-8859-1, RFC 9110 §5.5).
///
/// Bytes above 0x7F mean nothing to the relay, and pass through it unchanged in this form.
package enum Latin1 {
    /// The text that stands for these bytes.
    package static func text(_ bytes: some Collection<UInt8>) -> String {
        if bytes.allSatisfy({ $0 < 0x80 }) { return String(decoding: bytes, as: UTF8.self) }
        var text = ""
        text.unicodeScalars.append(contentsOf: bytes.lazy.map { Unicode.Scalar($0) })
        return text
    }

    /// The bytes that a text stands for; a scalar above U+00FF, which no byte stands for, becomes its UTF-8.
    package static func bytes(_ text: String) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count)
        for scalar in text.unicodeScalars {
            if scalar.value <= 0xFF { bytes.append(UInt8(scalar.value)) } else { bytes += Array(String(scalar).utf8) }
        }
        return bytes
    }
}

extension ByteBuffer {
    /// Writes the bytes that a text stands for.
    package mutating func writeLatin1(_ text: String) {
        if text.utf8.allSatisfy({ $0 < 0x80 }) { writeString(text) } else { writeBytes(Latin1.bytes(text)) }
    }

    /// Writes a field line (RFC 9112 §5).
    package mutating func writeField(_ name: String, _ value: String) {
        writeLatin1(name)
        writeStaticString(": ")
        writeLatin1(value)
        writeStaticString("\r\n")
    }
}
