import HTTPWire
package import TestSupport

/// Random input for the request parser: what holds for each, or why it does not.
package enum RequestFuzz {
    /// Writes some requests and reads them, cut into pieces.
    ///
    /// - Returns: How what was read differs; nil where it does not.
    package static func roundTrip(_ random: inout SeededGenerator) -> String? {
        let requests = (0..<Int.random(in: 1...4, using: &random)).map { _ in RandomRequest(&random) }
        let bytes = requests.flatMap(\.bytes)
        let parsed = ParsedRequests(bytes.cut(&random))
        guard parsed.requests == requests.map(\.request), parsed.fault == nil, parsed.bytesLeft == 0 else {
            return "\(bytes.debugText) was read as \(parsed)"
        }
        return nil
    }

    /// Damages some requests and reads them at once and cut into pieces, and now and then with another parser.
    ///
    /// - Returns: How the readings differ; nil where they do not.
    package static func damaged(_ random: inout SeededGenerator) -> String? {
        var bytes = (0..<Int.random(in: 1...3, using: &random)).flatMap { _ in RandomRequest(&random).bytes }
        for _ in 0..<Int.random(in: 1...3, using: &random) { bytes.damage(&random) }
        let maxHeadBytes = random.chance(oneIn: 8) ? 64 : 16 * 1024
        let whole = ParsedRequests([bytes], maxHeadBytes: maxHeadBytes)
        let cut = ParsedRequests(bytes.cut(&random), maxHeadBytes: maxHeadBytes)
        guard whole.requests == cut.requests, whole.fault == cut.fault else {
            return "\(bytes.debugText) was read as \(whole) at once, and as \(cut) in pieces"
        }
        // The other parser is slow, and reads nothing behind an offer to upgrade.
        guard random.chance(oneIn: 8), maxHeadBytes > 64, whole.fault == nil,
            !whole.requests.contains(where: { $0.fields.contains { $0.lowercased().hasPrefix("upgrade:") } })
        else { return nil }
        let other = OtherParser.requests(bytes)
        // It stops at methods that it does not know, and spells M-SEARCH without its hyphen.
        let agrees = zip(whole.requests, other).filter { $0.isComplete && $1.isComplete }.allSatisfy { own, other in
            own.target == other.target && own.body == other.body
                && own.method.filter { $0 != "-" } == other.method.filter { $0 != "-" }
        }
        return agrees ? nil : "\(bytes.debugText) was read as \(whole), and by another parser as \(other)"
    }
}
