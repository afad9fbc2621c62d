/// Appends JSON text, token by token, in the order that it is told.
struct JSONWriter {
    private(set) var bytes: [UInt8] = []
    /// Whether the next member or element is the first of its object or array.
    private var isFirst = true

    mutating func beginObject() { open(UInt8(ascii: "{")) }
    mutating func endObject() { close(UInt8(ascii: "}")) }
    mutating func beginArray() { open(UInt8(ascii: "[")) }
    mutating func endArray() { close(UInt8(ascii: "]")) }

    /// Begins an element of an array.
    mutating func element() {
        if !isFirst { bytes.append(UInt8(ascii: ",")) }
        isFirst = false
    }

    /// Begins a member of an object; its value is to follow.
    mutating func name(_ name: String) {
        element()
        text(name)
        bytes.append(UInt8(ascii: ":"))
    }

    mutating func member(_ name: String, _ value: String) {
        self.name(name)
        text(value)
    }

    mutating func member(_ name: String, _ value: Int) {
        self.name(name)
        raw("\(value)".utf8)
    }

    mutating func member(_ name: String, _ value: Bool) {
        self.name(name)
        raw((value ? "true" : "false").utf8)
    }

    /// A string, or null.
    mutating func member(_ name: String, orNull value: String?) {
        self.name(name)
        if let value { text(value) } else { raw("null".utf8) }
    }

    /// Text that is JSON already.
    mutating func raw(_ json: some Sequence<UInt8>) {
        bytes.append(contentsOf: json)
        isFirst = false
    }

    /// A string (RFC 8259 §7).
    mutating func text(_ value: String) {
        bytes.append(UInt8(ascii: "\""))
        for byte in value.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                bytes.append(UInt8(ascii: "\\"))
                bytes.append(byte)
            case 0..<0x20:
                let digits = Array("0123456789abcdef".utf8)
                bytes.append(contentsOf: "\\u00".utf8)
                bytes.append(digits[Int(byte >> 4)])
                bytes.append(digits[Int(byte & 0xF)])
            default:
                bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
        isFirst = false
    }

    private mutating func open(_ bracket: UInt8) {
        bytes.append(bracket)
        isFirst = true
    }

    private mutating func close(_ bracket: UInt8) {
        bytes.append(bracket)
        isFirst = false
    }
}
