import AdminAPI
import ArgumentParser
import Foundation

/// Which writes are meant; the same for every command of `outbox`.
struct SelectorOptions: ParsableArguments {
    @Argument(
        help: ArgumentHelp(
            "Ids of writes, or a contact as AUDIENCE/CONTACT; - reads ids from standard input.",
            valueName: "id"
        )
    )
    var names: [String] = []

    @Option(
        help: ArgumentHelp(
            "In this state, or states with commas between: \(WriteSelector.allStates.joined(separator: ", ")).",
            valueName: "state"
        ),
        completion: .list(WriteSelector.allStates)
    )
    var state: [String] = []

    @Option(help: ArgumentHelp("To this contact, as AUDIENCE/CONTACT or its path.", valueName: "contact"))
    var contact: String?

    @Option(help: ArgumentHelp("To contacts of this audience.", valueName: "uuid"))
    var audience: String?

    @Option(help: ArgumentHelp("Made with the key whose fingerprint begins so.", valueName: "fingerprint"))
    var key: String?

    @Option(help: ArgumentHelp("Accepted longer ago than this, such as 90s, 5m, 2h or 1d.", valueName: "age"))
    var olderThan: Age?

    @Option(help: ArgumentHelp("Refused with this code of the upstream, such as 1361.", valueName: "code"))
    var error: Int?

    @Option(help: ArgumentHelp("Last answered with this status, such as 422.", valueName: "status"))
    var status: Int?

    @Flag(help: "All of them, whatever else is not said.")
    var all = false

    func validate() throws {
        _ = try selector(ids: [])
        let ids = names.filter { !$0.contains("/") && $0 != "-" }
        if let bad = ids.first(where: { !WriteNames.isName($0) }) {
            throw ValidationError("\(bad) is neither the id of a write nor a contact (AUDIENCE/CONTACT).")
        }
        if names.contains("-"), names.count > 1 {
            throw ValidationError("- stands alone: ids come from standard input.")
        }
    }

    /// Whether nothing says which writes.
    var isEmpty: Bool {
        names.isEmpty && state.isEmpty && contact == nil && audience == nil && key == nil && olderThan == nil
            && error == nil && status == nil
    }

    /// Whether ids are given, here or on standard input.
    var hasIDs: Bool { names.contains { !$0.contains("/") } }

    /// Whether it is for one contact, and narrows no further.
    var isContactAlone: Bool {
        !hasIDs && state.isEmpty && audience == nil && key == nil && olderThan == nil && error == nil && status == nil
    }

    /// Refuses a change of everything that nobody has asked for.
    func requireSome() throws {
        guard isEmpty, !all else { return }
        throw ValidationError("Say which writes (ids, --state, --contact, …), or --all.")
    }

    /// The contact that is named, if one is.
    func namedContact() throws -> ContactName? {
        let contacts = names.filter { $0.contains("/") } + (contact.map { [$0] } ?? [])
        guard contacts.count < 2 else { throw ValidationError("Name one contact at a time.") }
        guard let text = contacts.first else { return nil }
        guard let name = ContactName(text) else {
            throw ValidationError("\(text) does not name a contact: AUDIENCE/CONTACT takes two UUIDs.")
        }
        return name
    }

    /// The selectors that are meant: more than one when there are more ids than one takes.
    func selectors() throws -> [WriteSelector] {
        let ids = names.contains("-") ? try WriteNames.fromStandardInput() : names.filter { !$0.contains("/") }
        // Nothing on standard input is nothing, not everything.
        guard !ids.isEmpty else { return names.contains("-") ? [] : [try selector(ids: [])] }
        return try stride(from: 0, to: ids.count, by: WriteSelector.maxIDs).map {
            try selector(ids: Array(ids[$0..<min($0 + WriteSelector.maxIDs, ids.count)]))
        }
    }

    private func selector(ids: [String]) throws -> WriteSelector {
        var selector = WriteSelector()
        let states: [String] = state.flatMap { text in
            text.split(separator: ",").map { String($0).replacing("-", with: "_") }
        }
        if let bad = states.first(where: { !WriteSelector.allStates.contains($0) }) {
            let names = WriteSelector.allStates.joined(separator: ", ")
            throw ValidationError("There is no state \(bad); there are \(names).")
        }
        if let audience, UUID(uuidString: audience) == nil {
            throw ValidationError("\(audience) is not the UUID of an audience.")
        }
        if let key, key.isEmpty || !key.allSatisfy(\.isHexDigit) || key.count > 32 {
            throw ValidationError("\(key) is not a fingerprint: it has hexadecimal digits only (see key list).")
        }
        selector.states = states.isEmpty ? nil : states
        selector.ids = ids.isEmpty ? nil : ids
        selector.contact = try namedContact()
        selector.audienceId = audience
        selector.keyFingerprint = key
        selector.olderThanMilliseconds = olderThan?.milliseconds
        selector.status = status
        selector.errorCode = error
        return selector
    }
}
