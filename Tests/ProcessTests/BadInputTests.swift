import AdminAPI
import NIOHTTP1
import Testing

extension ProcessTests {
    /// What is wrong is refused before anything is stored (design §3.1).
    @Suite struct BadInputTests {
        @Test("Bad input gets its status, its code in the upstream's shape and its slug, and nothing is stored")
        func refusals() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let relay = try await RelayProcess(in: sandbox, upstream: simulator)

                for input in BadInput.all {
                    let connection = try RawConnection(port: relay.port)
                    await connection.send(input.bytes)
                    let text = await connection.receive { RawReplies($0).replies.count == 1 }
                    let answer = try #require(RawReplies(text).replies.first, "\(input.name): \(text)")
                    #expect(answer.status == input.status, "\(input.name)")
                    #expect(answer.headers["Contact-Relay-Error"] == [input.slug], "\(input.name)")
                    #expect(answer.headers["Content-Type"] == ["application/json"], "\(input.name)")
                    #expect(answer.write == nil, "\(input.name)")
                    let error = try #require(try answer.decoded(ErrorDocument.self).errors.first, "\(input.name)")
                    #expect(error.status == input.status, "\(input.name)")
                    #expect(error.code == input.code, "\(input.name)")
                    #expect(!error.message.isEmpty, "\(input.name)")
                }

                let outbox = try await relay.status().outbox
                #expect(outbox.accepted == 0)
                #expect(outbox.storedBytes == 0)
                #expect(try await simulator.log().isEmpty)
            }
        }

        @Test("Unknown paths under /_relay/ get problem details and are never forwarded")
        func unknownRelayPaths() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let relay = try await RelayProcess(in: sandbox, upstream: simulator)
                for (method, target) in [
                    (HTTPMethod.GET, "/_relay/"), (.GET, "/_relay/nothing"), (.PUT, "/_relay/nothing"),
                    (.GET, "/%5Frelay/nothing"), (.GET, "/_relay/../_relay/nothing"),
                ] {
                    let connection = try RawConnection(port: relay.port)
                    await connection.send("\(method) \(target) HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    let text = await connection.receive { RawReplies($0).replies.count == 1 }
                    let answer = try #require(RawReplies(text).replies.first, "\(target)")
                    #expect(answer.status == 404, "\(target)")
                    #expect(answer.headers["Content-Type"] == ["application/problem+json"], "\(target)")
                    #expect(answer.headers["Contact-Relay-Error"] == ["not_found"], "\(target)")
                    let problem = try answer.decoded(ProblemDocument.self)
                    #expect(problem.status == 404, "\(target)")
                    #expect(!problem.detail.isEmpty, "\(target)")
                }
                #expect(try await relay.send(.POST, "/_relay/ready").status == 405)
                #expect(try await simulator.log().isEmpty)
            }
        }

        @Test("Lengths count Unicode scalars: 32 emoji are let through to the upstream")
        func thirtyTwoEmoji() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let relay = try await RelayProcess(in: sandbox, upstream: simulator)
                let name = String(repeating: "🦀", count: 32)
                #expect(try await relay.put(name).status == 200)
                #expect(try await simulator.applied() == [name])
            }
        }
    }
}
