import ArgumentParser
import Foundation

/// Ids of writes, as operators and scripts give them.
enum WriteNames {
    private static let length = 26
    /// Ids that standard input gives at most.
    private static let maxNames = 1_000_000

    /// Whether this can be the id of a write.
    static func isName(_ text: String) -> Bool {
        text.utf8.count == length
            && text.utf8.allSatisfy { byte in
                (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                    || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
            }
    }

    /// The first word of each line.
    static func fromStandardInput() throws -> [String] {
        var names: [String] = []
        while let line = readLine() {
            guard let word = line.split(separator: " ").first.map(String.init) else { continue }
            guard isName(word) else {
                throw ExitStatus.fail("standard input: \(word.prefix(40)) is not the id of a write", ExitStatus.usage)
            }
            names.append(word)
            guard names.count <= maxNames else {
                throw ExitStatus.fail("standard input has more than \(maxNames) ids", ExitStatus.usage)
            }
        }
        return names
    }
}
