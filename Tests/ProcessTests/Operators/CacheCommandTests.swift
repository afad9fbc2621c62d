import AdminAPI
import Foundation
import NIOHTTP1
import TestSupport
import Testing

extension ProcessTests {
    /// What operators do with the cache (design §2.2).
    @Suite struct CacheCommandTests {
        private static func get(_ relay: RelayProcess, _ target: String, _ key: String = Samples.key) async throws
            -> Int
        {
            try await relay.send(.GET, target, headers: ["X-Dexatel-Key": key]).status
        }

        private static func stats(_ operators: Operator) async throws -> RelayStatus.Cache {
            let json = try await operators.done("cache", "stats", "--json")
            return try AdminJSON.decode(RelayStatus.Cache.self, from: Data(json.utf8))
        }

        @Test(
            "A purged path is gone from memory and disk, with every query and for all keys, and what is beside it stays"
        )
        func purge() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let first = try await RelayProcess(in: sandbox, upstream: simulator)
                let operators = Operator(in: sandbox)
                let list = "/v1/audiences/\(Samples.audience)/contacts"
                let below = [Samples.target, list, list + "?page_size=1"]
                let beside = "/v1/audiences/\(Samples.audience)"
                for target in below + [beside] { #expect(try await Self.get(first, target) == 200) }
                #expect(try await Self.get(first, Samples.target, "another") == 200)
                try await eventually("all to be on disk") { try await Self.stats(operators).disk?.entries == 5 }
                #expect(try await Self.stats(operators).entries == 5)
                let page = try await operators.done("cache", "stats")
                #expect(page.contains(#/cached +5 /#) && page.contains(#/on disk +5 /#))

                let purged = try await operators.done("cache", "purge", list)
                #expect(purged == "dropped \(list) and below: 4 replies in memory\n")
                try await simulator.goDown()
                #expect(try await Self.get(first, beside) == 200)
                for target in below { #expect(try await Self.get(first, target) == 504) }
                #expect(try await Self.get(first, Samples.target, "another") == 504)
                // As a power failure would end it: what was purged does not come back from disk.
                try await first.kill()
                let relay = try await RelayProcess(in: sandbox, upstream: simulator)
                for target in below { #expect(try await Self.get(relay, target) == 504) }
            }
        }

        @Test("Purging everything asks, and refuses where nobody can be asked")
        func purgeAll() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let relay = try await RelayProcess(in: sandbox, upstream: simulator)
                let operators = Operator(in: sandbox)
                #expect(try await Self.get(relay, Samples.target) == 200)
                for arguments in [["cache", "purge"], ["cache", "purge", "/"]] {
                    let result = try await sandbox.finish(
                        "contact-relay",
                        arguments + ["--socket", operators.socket]
                    )
                    #expect(result.ending == .exited(64) && result.output.contains("about 1 replies"))
                }
                #expect(try await operators.run("cache", "purge", "v1").ending == .exited(64))
                #expect(try await Self.stats(operators).entries == 1)
                #expect(try await operators.done("cache", "purge", "--yes").contains("1 replies in memory"))
                #expect(try await Self.stats(operators).entries == 0)
                try await simulator.goDown()
                #expect(try await Self.get(relay, Samples.target) == 504)
            }
        }
    }
}
