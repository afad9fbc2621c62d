/// What is wrong with a description of faults.
struct FaultSyntaxError: Error, Equatable {
    let message: String

    init(_ message: String) {
        self.message = message
    }
}
