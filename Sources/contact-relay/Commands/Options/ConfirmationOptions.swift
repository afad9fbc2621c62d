import ArgumentParser
import Foundation

/// Asks before what cannot be taken back.
struct ConfirmationOptions: ParsableArguments {
    @Flag(name: .shortAndLong, help: "Do it without asking.")
    var yes = false

    /// Goes on if the operator wants it; ends with 64 where nobody can be asked.
    func require(_ question: String) throws {
        if yes { return }
        guard isatty(STDIN_FILENO) == 1 else {
            throw ExitStatus.fail("\(question) Nobody can be asked here: say --yes if so.", ExitStatus.usage)
        }
        Output.note("\(question) [y/N] ", terminator: "")
        guard let answer = readLine()?.lowercased(), ["y", "yes"].contains(answer) else {
            throw ExitStatus.fail("nothing was changed", ExitStatus.refused)
        }
    }
}
