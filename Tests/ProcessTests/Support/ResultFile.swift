import Foundation

/// The results of long runs, which are kept in `Benchmarks/results`.
enum ResultFile {
    static func write(_ result: some Encodable, to path: String) throws {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try (encoder.encode(result) + Data("\n".utf8)).write(to: URL(fileURLWithPath: path))
    }
}
