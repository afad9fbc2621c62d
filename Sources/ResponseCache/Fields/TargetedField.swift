/// A field with directives for caches like this one (RFC 9213 §2.1): a dictionary in the sense of RFC 9651 §3.2.
enum TargetedField {
    /// The directives; nil for a field that is empty or breaks the grammar, which counts as absent.
    static func directives(_ lines: [String]) -> [CacheDirective]? {
        var directives: [CacheDirective] = []
        for line in lines {
            let reader = CacheDirectiveReader([withoutParameters(line)], isStructured: true)
            guard !reader.isMalformed else { return nil }
            directives += reader.directives
        }
        return directives.isEmpty ? nil : directives
    }

    /// Members may have parameters, which mean nothing here.
    private static func withoutParameters(_ line: String) -> String {
        var kept: [UInt8] = []
        var isQuoted = false
        var isParameter = false
        for byte in line.utf8 {
            if byte == UInt8(ascii: "\"") { isQuoted.toggle() }
            if !isQuoted, byte == UInt8(ascii: ";") { isParameter = true }
            if !isQuoted, byte == UInt8(ascii: ",") { isParameter = false }
            if !isParameter { kept.append(byte) }
        }
        return String(decoding: kept, as: UTF8.self)
    }
}
