import Foundation
import FuzzInputs
import TestSupport

/// Feeds random input to the parsers for as many rounds as it is given, and writes what came of it as JSON.
///
/// usage: fuzz INPUTS RESULT-FILE COMMIT; `TEST_SEED` repeats a run.
@main
struct Fuzz {
    static func main() throws {
        let arguments = CommandLine.arguments
        guard arguments.count == 4, let inputs = Int(arguments[1]) else {
            FileHandle.standardError.write(Data("usage: fuzz INPUTS RESULT-FILE COMMIT\n".utf8))
            exit(64)
        }
        var random = SeededGenerator("fuzz")
        let seed = random.seed
        let began = ContinuousClock.now
        for number in 1...max(1, inputs) {
            let difference = number % 2 == 0 ? RequestFuzz.roundTrip(&random) : RequestFuzz.damaged(&random)
            if let difference {
                print("input \(number) of seed \(seed): \(difference)")
                exit(1)
            }
            if number % 1_000_000 == 0 { print("\(number) inputs") }
        }
        let seconds = began.duration(to: .now).components.seconds
        let result: [String: String] = [
            "command": "make fuzz INPUTS=\(inputs)", "commit": arguments[3], "seed": String(seed),
            "inputs": String(inputs), "findings": "0", "seconds": String(seconds),
        ]
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try encoder.encode(result).write(to: URL(filePath: arguments[2]))
        print("\(inputs) inputs, no finding")
    }
}
