import AdminAPI
import ArgumentParser
import Testing

@testable import contact_relay

/// What operators say to name writes (design §2.2).
@Suite struct SelectorTests {
    private static let audience = "22089fd7-7b74-4815-8452-3a8e864affbc"
    private static let contact = "fe84f52d-d05e-4af6-b93a-08dc0110f536"
    private static let id = "0000000000000yw7msmf8bz281"

    private func selectors(_ arguments: String...) throws -> [WriteSelector] {
        try SelectorOptions.parse(arguments).selectors()
    }

    @Test func `every option narrows by what it says`() throws {
        var expected = WriteSelector()
        expected.states = ["dead", "held", "in_flight"]
        expected.ids = [Self.id]
        expected.contact = ContactName(audienceId: Self.audience, contactId: Self.contact)
        expected.audienceId = Self.audience
        expected.keyFingerprint = "a7dc"
        expected.olderThanMilliseconds = 86_400_000
        expected.status = 422
        expected.errorCode = 1361
        #expect(
            try selectors(
                Self.id,
                "--state",
                "dead,held",
                "--state=in-flight",
                "--contact",
                "\(Self.audience)/\(Self.contact)",
                "--audience",
                Self.audience,
                "--key",
                "a7dc",
                "--older-than",
                "1d",
                "--status",
                "422",
                "--error",
                "1361"
            ) == [expected]
        )
        #expect(try selectors() == [WriteSelector()])
    }

    @Test(arguments: [
        "\(audience)/\(contact)", "\(audience):\(contact)", "\(audience) \(contact)", "\(audience),\(contact)",
        "/v1/audiences/\(audience)/contacts/\(contact)", "\(audience.uppercased())/\(contact.uppercased())",
    ])
    func `a contact is named in any of these ways`(_ text: String) throws {
        let name = ContactName(audienceId: Self.audience, contactId: Self.contact)
        #expect(ContactName(text) == name)
        #expect(ContactName(name.description) == name)
        #expect(try selectors("--contact", text).map(\.contact) == [name])
    }

    @Test(arguments: ["", "x/y", audience, "\(audience)/\(contact)/\(contact)", "/v1/audiences/\(audience)/contacts/"])
    func `nothing else names a contact`(_ text: String) {
        #expect(ContactName(text) == nil)
    }

    @Test(arguments: [
        ["--state", "odd"], ["--contact", "odd"], ["--audience", "odd"], ["--key", "xyz"], ["--key", ""],
        ["--older-than", "1"], ["--older-than", "-1d"], ["--older-than", "99999999999999999999d"], ["odd"],
        ["-", "0000000000000yw7msmf8bz281"], ["--status", "many"],
        ["\(audience)/\(contact)", "--contact", "\(audience)/\(contact)"],
    ])
    func `what cannot be meant is refused`(_ arguments: [String]) {
        #expect(throws: (any Error).self) { try SelectorOptions.parse(arguments) }
    }

    @Test func `more ids than one selector takes are more selectors`() throws {
        let ids = (0..<WriteSelector.maxIDs + 1).map { _ in Self.id }
        let found = try SelectorOptions.parse(ids).selectors()
        #expect(found.map { $0.ids?.count } == [WriteSelector.maxIDs, 1])
    }

    @Test(arguments: ["retry", "discard", "hold", "release"])
    func `a change of everything has to be asked for`(_ command: String) throws {
        #expect(throws: (any Error).self) { try ContactRelay.parseAsRoot(["outbox", command]) }
        _ = try ContactRelay.parseAsRoot(["outbox", command, "--all"])
        _ = try ContactRelay.parseAsRoot(["outbox", command, "--state", "dead"])
    }

    @Test(arguments: [
        ("0s", 0), ("250ms", 250), ("90s", 90_000), ("5m", 300_000), ("2h", 7_200_000), ("1d", 86_400_000),
        ("2w", 1_209_600_000),
    ])
    func `an age is a number and a unit`(_ text: String, _ milliseconds: Int64) {
        #expect(Age(argument: text)?.milliseconds == milliseconds)
    }

    @Test(arguments: ["", "s", "1", "1y", "-1s", "1.5h", " 1s"])
    func `nothing else is an age`(_ text: String) {
        #expect(Age(argument: text) == nil)
    }
}
