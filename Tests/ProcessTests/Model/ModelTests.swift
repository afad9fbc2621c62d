import TestSupport
import Testing

extension ProcessTests {
    /// P4 and P5 with clients that read and write at random; `make model` is the long form.
    @Suite struct ModelTests {
        @Test(
            "Whoever reads sees its own acknowledged writes, nothing older after something newer, and nobody else's data"
        )
        func randomReadsAndWrites() async throws {
            let settings = ModelSettings.current
            let generator = SeededGenerator("model test")
            try await withSandbox { sandbox in
                var run = try await ModelRun(in: sandbox, generator: generator, replies: settings.replies)
                var result = try await run.result()
                result.commit = settings.commit
                if let path = settings.resultPath { try ResultFile.write(result, to: path) }
                print("model test: \(result.readingSeconds) of \(result.durationSeconds) s, \(result.tally)")
                let report = (result.findings.prefix(20) + result.story).joined(separator: "\n")
                #expect(result.findings.count == 0, "\(report)")
                #expect(result.tally.replies >= settings.replies)
                // A run in which nothing of the kind happened would prove nothing about it.
                if settings.replies >= ModelSettings().replies {
                    let tally = result.tally
                    for count in [
                        tally.fresh, tally.stale, tally.fetched, tally.collapsed, tally.notModified, tally.pages,
                        tally.withPending, tally.gone, tally.unserved, tally.upstreamErrors,
                        tally.delivered,
                    ] { #expect(count > 0, "\(tally)") }
                    // Keys are revoked and writes rejected in some kinds of weather alone, which a short run need not have.
                    if settings.replies >= 100_000 { #expect(tally.refused > 0 && tally.rejected > 0, "\(tally)") }
                }
            }
        }
    }
}
