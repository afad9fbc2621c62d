import FuzzInputs
import TestSupport
import Testing

/// `make fuzz` does the same ten million times.
@Suite("A request parser under random input")
struct RequestParserFuzzTests {
    private static let inputs = 10_000

    @Test("what was written is what is read, however it is cut into pieces")
    func roundTrip() {
        var random = SeededGenerator("requests written at random")
        for _ in 0..<Self.inputs {
            if let difference = RequestFuzz.roundTrip(&random) { Issue.record("\(difference)"); return }
        }
    }

    @Test("damaged requests mean the same however they are cut, and nothing that another parser does not read alike")
    func damaged() {
        var random = SeededGenerator("requests damaged at random")
        for _ in 0..<Self.inputs {
            if let difference = RequestFuzz.damaged(&random) { Issue.record("\(difference)"); return }
        }
    }
}
