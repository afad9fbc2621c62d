import DexatelAPI

/// The host of a `Host` field, an `Origin` or a target in absolute form, with or without a port (RFC 3986 §3.2).
package struct Authority: Sendable, Equatable {
    /// The name in lower case without the dot at its end, or the address without brackets.
    package let host: String

    /// Takes `host` or `host:port`; nil for anything else, a user's name in front included.
    package init?(_ text: some StringProtocol) {
        guard let host = Self.host(of: Array(text.utf8)), let name = Self.name(host) else { return nil }
        self.host = name
    }

    /// The host that a setting names: as above, without a port, and an IPv6 address with or without brackets.
    package init?(host text: String) {
        if let octets = NetworkHost.octets(text), octets.count == 16 {
            host = text.filter { $0 != "[" && $0 != "]" }.lowercased()
        } else {
            guard !text.contains(":"), let authority = Authority(text) else { return nil }
            self = authority
        }
    }

    /// What stands before the port, as it came.
    private static func host(of text: [UInt8]) -> ArraySlice<UInt8>? {
        let colon = UInt8(ascii: ":")
        let end: Int
        if text.first == UInt8(ascii: "[") {
            guard let bracket = text.firstIndex(of: UInt8(ascii: "]")) else { return nil }
            end = bracket + 1
        } else {
            end = text.firstIndex(of: colon) ?? text.endIndex
        }
        let port = text[end...]
        guard let first = port.first else { return text[..<end] }
        let digits = port.dropFirst()
        guard first == colon, digits.count <= 5, digits.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }) else { return nil }
        return text[..<end]
    }

    private static func name(_ host: ArraySlice<UInt8>) -> String? {
        // By bytes: Unicode has further letters that become ASCII in lower case.
        let text = String(decoding: host.map(\.asciiLowercased), as: UTF8.self)
        if text.hasPrefix("[") {
            return NetworkHost.octets(text)?.count == 16 ? String(text.dropFirst().dropLast()) : nil
        }
        let name = text.hasSuffix(".") ? String(text.dropLast()) : text
        return !name.isEmpty && name.utf8.allSatisfy(isNameByte) ? name : nil
    }

    /// Letters, digits, and what else a registered name may hold (RFC 3986 §3.2.2).
    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
        default: "-._~!$&'()*+,;=%".utf8.contains(byte)
        }
    }
}
