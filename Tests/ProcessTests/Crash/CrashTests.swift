import TestSupport
import Testing

extension ProcessTests {
    /// P1, P2 and P3, with a relay that is killed at random moments; `make crash KILLS=2000` is the long form.
    @Suite struct CrashTests {
        @Test(
            "Hundreds of kills in bad weather lose nothing, repeat nothing out of order, and leave the books in balance"
        )
        func kills() async throws {
            let settings = CrashSettings.current
            let generator = SeededGenerator("crash test")
            try await withSandbox { sandbox in
                let run = try await CrashRun(in: sandbox, generator: generator, kills: settings.kills)
                var result = try await run.result()
                result.commit = settings.commit
                if let path = settings.resultPath { try ResultFile.write(result, to: path) }
                print("crash test: \(result.kills) kills in \(result.durationSeconds) s, \(result.tally)")
                #expect(result.findings.count == 0, "\(result.findings.prefix(20).joined(separator: "\n"))")
                // A run in which nothing of the kind happened would prove nothing about it.
                if settings.kills >= CrashSettings().kills {
                    #expect(result.tally.delivered > 0)
                    #expect(result.tally.dead > 0)
                    #expect(result.tally.superseded > 0)
                    #expect(result.tally.unknown > 0)
                    #expect(result.tally.repeats > 0)
                }
                // It takes a sender that waits while one kind of weather lasts: a few times in hundreds of kills.
                if settings.kills >= 1_000 { #expect(result.tally.rejected > 0) }
            }
        }
    }
}
