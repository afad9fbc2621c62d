import DexatelAPI

/// A list of weighted choices, such as `Accept-Language` has it, in one spelling (RFC 9110 §12.4, §12.5).
///
/// Two lists that say the same have the same spelling: names in lower case, members sorted, a weight of 1 left out and
/// any other without trailing zeros. The order of members means nothing, as each has its weight; members with different
/// weights stay different. What breaks the grammar is left as it came.
enum NegotiationList {
    /// Whether a request field is such a list.
    ///
    /// - Parameter name: In lower case.
    static func isOne(_ name: String) -> Bool {
        switch name {
        case "accept", "accept-language", "accept-encoding", "accept-charset": true
        default: false
        }
    }

    /// The members in one spelling; nil if one of them cannot be read.
    ///
    /// - Parameters:
    ///   - members: Without the white space around them.
    ///   - name: The field's name in lower case; the parameters of `Accept` keep the case of their values.
    static func normal(_ members: [String], of name: String) -> [String]? {
        var spelled: [String] = []
        for member in members where !member.isEmpty {
            guard let text = normal(member, keepsValues: name == "accept") else { return nil }
            spelled.append(text)
        }
        return spelled.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    private static func normal(_ member: String, keepsValues: Bool) -> String? {
        // A quoted string may hold what looks like the end of a member.
        guard member.utf8.allSatisfy({ $0 != UInt8(ascii: "\"") }) else { return nil }
        var parts = member.utf8.split(separator: UInt8(ascii: ";"), omittingEmptySubsequences: false).map {
            Array($0)[...].trimmed
        }
        let choice = parts.removeFirst()
        guard !choice.isEmpty, choice.allSatisfy({ $0.isTokenByte || $0 == UInt8(ascii: "/") }) else { return nil }
        var text = choice.lowercasedText
        var weight = 1000
        for (index, part) in parts.enumerated() {
            guard let equals = part.firstIndex(of: UInt8(ascii: "=")) else { return nil }
            let (key, value) = (part[..<equals].lowercasedText, part[(equals + 1)...])
            guard !key.isEmpty, key.utf8.allSatisfy(\.isTokenByte), value.allSatisfy(\.isTokenByte) else { return nil }
            if key == "q" {
                // Nothing may follow the weight.
                guard index == parts.count - 1, let thousandths = thousandths(value) else { return nil }
                weight = thousandths
            } else {
                text += ";\(key)=" + (keepsValues ? String(decoding: value, as: UTF8.self) : value.lowercasedText)
            }
        }
        return weight == 1000 ? text : text + ";q=\(spelled(weight))"
    }

    /// `0`, `0.5`, `1.000`, with three decimals at most (RFC 9110 §12.4.2).
    private static func thousandths(_ text: ArraySlice<UInt8>) -> Int? {
        guard let whole = text.first, whole == UInt8(ascii: "0") || whole == UInt8(ascii: "1") else { return nil }
        var thousandths = whole == UInt8(ascii: "1") ? 1000 : 0
        let rest = text.dropFirst()
        guard !rest.isEmpty else { return thousandths }
        guard rest.first == UInt8(ascii: "."), rest.count <= 4, rest.dropFirst().allSatisfy(\.isDigit) else {
            return nil
        }
        var unit = 100
        for digit in rest.dropFirst() {
            thousandths += Int(digit - 0x30) * unit
            unit /= 10
        }
        return thousandths <= 1000 ? thousandths : nil
    }

    private static func spelled(_ thousandths: Int) -> String {
        guard thousandths > 0 else { return "0" }
        var digits = String(thousandths)
        while digits.utf8.count < 3 { digits = "0" + digits }
        while digits.hasSuffix("0") { digits.removeLast() }
        return "0." + digits
    }
}
