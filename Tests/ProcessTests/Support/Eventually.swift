/// What did not come about before a generous deadline.
struct DeadlinePassed: Error, CustomStringConvertible {
    let description: String
}

/// Polls until something holds; the deadline only keeps a broken relay from hanging the tests.
func eventually(
    _ what: @autoclosure () -> String,
    within limit: Duration = .seconds(60),
    _ condition: () async throws -> Bool
) async throws {
    let deadline = ContinuousClock.now + limit
    while try await !condition() {
        guard ContinuousClock.now < deadline else { throw DeadlinePassed(description: "waited in vain for \(what())") }
        try await Task.sleep(for: .milliseconds(5))
    }
}
