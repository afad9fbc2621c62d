import DexatelAPI

/// One member of a `Cache-Control` list (RFC 9111 §5.2).
struct CacheDirective: Equatable {
    enum Argument: Equatable {
        case none
        /// A token, or a quoted string without its quotes.
        case text([UInt8])
        /// There is something where an argument could be, but it is none.
        case malformed
    }

    /// In lower case.
    var name: String
    var argument: Argument

    /// Whether the argument of a reply's directive is a number of seconds.
    static func isInSeconds(_ name: String) -> Bool {
        ["max-age", "s-maxage", "stale-while-revalidate", "stale-if-error"].contains(name)
    }

    /// The argument in seconds; nil for a missing or malformed one.
    var seconds: Int64? {
        guard case .text(let text) = argument else { return nil }
        return DeltaSeconds.parse(text)
    }
}

/// Reads the lines of a `Cache-Control` field, and saves what can be saved from malformed ones.
///
/// Both forms of an argument are accepted for every directive. In a member that breaks the grammar nothing that
/// permits is believed and everything that restricts is: its words count as restrictions where they name one, and as
/// malformed lifetimes where they name one. So neither a missing comma nor an open quote hides a `no-store`.
struct CacheDirectiveReader {
    private(set) var directives: [CacheDirective] = []

    init(_ lines: [String]) {
        for line in lines { read(Array(line.utf8)[...]) }
    }

    private mutating func read(_ line: ArraySlice<UInt8>) {
        var rest = line
        while !rest.isEmpty {
            let member = rest[..<Self.endOfMember(rest)]
            rest = rest[member.endIndex...].dropFirst()
            let trimmed = member.trimmed
            guard !trimmed.isEmpty else { continue }
            if let directive = Self.directive(trimmed) { directives.append(directive) } else { salvage(trimmed) }
        }
    }

    /// The first comma outside a quoted string; one that is never closed runs to the end of its line.
    private static func endOfMember(_ text: ArraySlice<UInt8>) -> Int {
        var isQuoted = false
        var index = text.startIndex
        while index < text.endIndex {
            switch text[index] {
            case UInt8(ascii: "\""): isQuoted.toggle()
            case UInt8(ascii: "\\") where isQuoted: index += 1
            case UInt8(ascii: ",") where !isQuoted: return index
            default: break
            }
            index += 1
        }
        return text.endIndex
    }

    private static func directive(_ member: ArraySlice<UInt8>) -> CacheDirective? {
        let name = member.prefix { $0.isTokenByte }
        guard !name.isEmpty else { return nil }
        let rest = member[name.endIndex...]
        guard let next = rest.first else { return CacheDirective(name: name.lowercasedText, argument: .none) }
        guard next == UInt8(ascii: "="), let argument = argument(rest.dropFirst()) else { return nil }
        return CacheDirective(name: name.lowercasedText, argument: argument)
    }

    private static func argument(_ text: ArraySlice<UInt8>) -> CacheDirective.Argument? {
        guard let first = text.first else { return nil }
        guard first == UInt8(ascii: "\"") else {
            return text.allSatisfy(\.isTokenByte) ? .text(Array(text)) : nil
        }
        var unquoted: [UInt8] = []
        var index = text.startIndex + 1
        while index < text.endIndex {
            switch text[index] {
            case UInt8(ascii: "\""): return index == text.endIndex - 1 ? .text(unquoted) : nil
            case UInt8(ascii: "\\"):
                index += 1
                guard index < text.endIndex else { return nil }
                unquoted.append(text[index])
            default: unquoted.append(text[index])
            }
            index += 1
        }
        return nil
    }

    private mutating func salvage(_ member: ArraySlice<UInt8>) {
        for word in member.split(whereSeparator: { !$0.isTokenByte }) {
            let name = word.lowercasedText
            if Self.restrictions.contains(name) {
                directives.append(CacheDirective(name: name, argument: .none))
            } else if Self.lifetimes.contains(name) {
                directives.append(CacheDirective(name: name, argument: .malformed))
            }
        }
    }

    private static let restrictions: Set<String> = [
        "no-store", "no-cache", "private", "must-revalidate", "proxy-revalidate", "only-if-cached",
    ]
    private static let lifetimes: Set<String> = [
        "max-age", "s-maxage", "stale-while-revalidate", "stale-if-error", "min-fresh",
    ]
}
