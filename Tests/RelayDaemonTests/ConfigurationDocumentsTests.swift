import Foundation
import Testing

@testable import RelayDaemon

/// The documents that an operator reads say what the program does.
///
/// After a change of the table, `UPDATE_DOCUMENTS=1 swift test --filter ConfigurationDocumentsTests` writes them anew.
@Suite struct ConfigurationDocumentsTests {
    private static let isUpdating = ProcessInfo.processInfo.environment["UPDATE_DOCUMENTS"] != nil

    private static func defaults(under environment: [String: String]) throws -> RelayConfiguration {
        try RelayConfiguration.load(
            file: nil,
            defaultFile: "/nonexistent/contact-relay.yaml",
            environment: environment,
            overrides: [:]
        )
    }

    @Test func `the example file shows every key of the table at its default`() throws {
        let defaults = try Self.defaults(under: ConfigurationDocuments.serviceEnvironment)
        let expected = ConfigurationDocuments.exampleText(defaults: defaults)
        if Self.isUpdating { try Data(expected.utf8).write(to: ConfigurationDocuments.example) }
        #expect(try String(contentsOf: ConfigurationDocuments.example, encoding: .utf8) == expected)
    }

    @Test func `the example file as it is changes nothing`() throws {
        let example = ConfigurationDocuments.example.path(percentEncoded: false)
        let loaded = try RelayConfiguration.load(file: example, defaultFile: "", environment: [:], overrides: [:])
        #expect(try loaded == Self.defaults(under: [:]))
    }

    @Test func `the example file without its comment signs is the defaults`() throws {
        let text = try String(contentsOf: ConfigurationDocuments.example, encoding: .utf8)
        let uncommented = text.replacing(#/(?m)^( *)#([a-z_]+:)/#) { "\($0.1)\($0.2)" }
        #expect(uncommented.matches(of: #/(?m)^ +[a-z_]+: /#).count == ConfigurationKey.all.count)
        let file = try ConfigurationFixture(uncommented)
        let loaded = try RelayConfiguration.load(file: file.path, defaultFile: "", environment: [:], overrides: [:])
        #expect(try loaded == Self.defaults(under: ConfigurationDocuments.serviceEnvironment))
    }

    @Test func `the reference lists every key with its default`() throws {
        let text = try String(contentsOf: ConfigurationDocuments.reference, encoding: .utf8)
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        let first = try #require(lines.firstIndex { $0.hasPrefix("| key |") })
        let end = lines[first...].firstIndex { !$0.hasPrefix("|") } ?? lines.endIndex
        let table = ConfigurationDocuments.referenceTable()
        if Self.isUpdating {
            let parts = [lines[..<first].joined(separator: "\n"), table, lines[end...].joined(separator: "\n")]
            try Data(parts.joined(separator: "\n").utf8).write(to: ConfigurationDocuments.reference)
        } else {
            #expect(lines[first..<end].joined(separator: "\n") == table)
        }
    }
}
