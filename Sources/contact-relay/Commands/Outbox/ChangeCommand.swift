import AdminAPI
import ArgumentParser
import Foundation

/// What the commands that change writes have in common: say how many, ask, do it, tell.
struct ChangeCommand {
    let command: WriteCommand
    let daemon: DaemonOptions
    let force: Bool
    let json: Bool

    func run(_ selector: SelectorOptions, _ confirmation: ConfirmationOptions) async throws {
        try await ExitStatus.explaining {
            let client = try await daemon.client()
            let selectors = try selector.selectors().compactMap(narrowed)
            let writes = SelectedWrites(client, selectors)
            if let question = try await question(writes, confirmation) { try confirmation.require(question) }
            var reply = try await writes.change(command, force: force)
            // Who names a write hears of it, also when it is unknown or not in a state for this.
            let named = Set(selectors.flatMap { $0.ids ?? [] })
            let unheard = named.count - reply.changed - reply.refused
            if unheard > 0 { reply.leave(unheard, "other_state") }
            try Self.tell(command, reply, json: json)
        }
    }

    /// Those that the command is for.
    private func narrowed(_ selector: WriteSelector) -> WriteSelector? {
        let states: [String] =
            switch command {
            case .retry: ["dead"]
            case .release: ["held"]
            case .discard: WriteSelector.openStates
            }
        var selector = selector
        selector.states = selector.states.map { $0.filter(states.contains) } ?? states
        return selector.states?.isEmpty == true ? nil : selector
    }

    /// What is to be confirmed; nil when nothing is, or nothing would change.
    private func question(_ writes: SelectedWrites, _ confirmation: ConfirmationOptions) async throws -> String? {
        guard command == .discard || force, !confirmation.yes else { return nil }
        let count = try await writes.count()
        guard count > 0 else { return nil }
        let number = "\(StatusLine.grouped(Int64(count))) \(count == 1 ? "write" : "writes")"
        return command == .discard
            ? "Discard \(number) for good?"
            : "\(command.rawValue.capitalized) \(number), even where that brings old values back?"
    }

    static func tell(_ command: WriteCommand, _ reply: WriteChangeReply, json: Bool) throws {
        if json { try Output.json(reply) } else { try Output.print(ChangeReport(command: command, reply: reply).text) }
        if reply.refused > 0 { throw ExitStatus.refused }
    }
}
