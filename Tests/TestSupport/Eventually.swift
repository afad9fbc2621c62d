/// What did not come about before a generous deadline.
package struct DeadlinePassed: Error, CustomStringConvertible {
    /// What was waited for.
    package let description: String

    /// Says what was waited for.
    package init(description: String) { self.description = description }
}

/// Looks until something holds; the deadline is only there so that a broken relay fails the test instead of hanging it.
package func eventually(
    _ what: @autoclosure () -> String,
    within limit: Duration = .seconds(60),
    isolation: isolated (any Actor)? = #isolation,
    _ condition: () async throws -> Bool
) async throws {
    let deadline = ContinuousClock.now + limit
    while try await !condition() {
        guard ContinuousClock.now < deadline else { throw DeadlinePassed(description: "waited in vain for \(what())") }
        try await Task.sleep(for: .milliseconds(2))
    }
}
