import Foundation
import Testing

@Suite("docs/http-caching.md")
struct CachingDocumentTests {
    private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()

    private func document() throws -> String {
        let root = Self.folder.deletingLastPathComponent().deletingLastPathComponent()
        return try String(contentsOf: root.appendingPathComponent("docs/http-caching.md"), encoding: .utf8)
    }

    /// The names of the tests of the cache and of the reads that it serves, as their sources have them.
    private func tests() throws -> Set<String> {
        var names: Set<String> = []
        let targets = Self.folder.deletingLastPathComponent()
        for target in ["ResponseCacheTests", "ProxyServerTests"] {
            let folder = targets.appendingPathComponent(target)
            let files = try #require(FileManager.default.enumerator(at: folder, includingPropertiesForKeys: nil))
            for case let file as URL in files where file.pathExtension == "swift" {
                let source = try String(contentsOf: file, encoding: .utf8)
                for match in source.matches(of: /@Test\(\s*"((?:[^"\\]|\\.)*)"/) {
                    names.insert(String(match.1).replacing("\\\"", with: "\""))
                }
            }
        }
        return names
    }

    /// The names in the last column of the document's tables.
    private func named() throws -> Set<String> {
        var names: Set<String> = []
        for line in try document().split(separator: "\n") where line.hasPrefix("| ") {
            guard let cell = line.split(separator: "|").last else { continue }
            for match in cell.matches(of: /`([^`]+)`/) where cell.hasPrefix(" `") { names.insert(String(match.1)) }
        }
        return names
    }

    @Test("every test that the document names is there")
    func exist() throws {
        let missing = try named().subtracting(tests())
        #expect(missing.isEmpty)
        #expect(try named().count > 80)
    }

    @Test("every test of a rule is named in the document")
    func complete() throws {
        let rules = try tests().filter { $0.hasPrefix("§") || $0.hasPrefix("RFC ") }
        #expect(rules.subtracting(try named()).isEmpty)
        #expect(rules.count > 50)
    }
}
