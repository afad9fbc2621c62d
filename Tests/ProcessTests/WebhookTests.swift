import AdminAPI
import Foundation
import NIOHTTP1
import Synchronization
import TestSupport
import Testing

extension ProcessTests {
    /// `writes.on_dead_url`: each dead write is told until somebody has taken it (design §3.5).
    @Suite struct WebhookTests {
        private struct Event: Decodable, Equatable {
            struct Response: Decodable, Equatable {
                var status: Int
                var body: String
            }

            var eventId: String
            var id: String
            var contactId: String
            var method: String
            var reason: String
            var attempts: Int
            var apiKey: String
            var response: Response?

            /// Reads a request as it came.
            init(_ request: String) throws {
                let body = request.components(separatedBy: "\r\n\r\n").dropFirst().joined()
                let decoder = JSONDecoder()
                decoder.keyDecodingStrategy = .convertFromSnakeCase
                self = try decoder.decode(Self.self, from: Data(body.utf8))
            }
        }

        private static func reply(_ status: String, _ more: String = "") -> ScriptedServer.Reaction {
            .reply("HTTP/1.1 \(status)\r\nContent-Length: 0\r\n\(more)\r\n")
        }

        /// An upstream that refuses whatever it is sent, so that acknowledged writes die.
        private func refusing(_ sandbox: Sandbox) async throws -> SimulatorProcess {
            let simulator = try await SimulatorProcess(in: sandbox, flags: ["--create-on-put"])
            try await simulator.setFaults(#"{"status":{"status":422,"code":1360}}"#)
            return simulator
        }

        private func contact(_ number: Int) -> String { "00000000-0000-4000-8000-00000000000\(number)" }

        @Test("A dead write is told once, with what it was and why, and without its key")
        func told() async throws {
            try await withSandbox { sandbox in
                let hook = try await ScriptedServer { _, _ in Self.reply("204 No Content") }
                let relay = try await RelayProcess(
                    in: sandbox,
                    upstream: try await refusing(sandbox),
                    ["writes.on_dead_url": hook.url + "/dead?token=s3"]
                )
                let answer = try await relay.put(prefer: "respond-async")
                try await relay.waitForState("dead", of: answer)
                try await eventually("the count of what was told") {
                    try await relay.metric("contact_relay_webhook_told_total") == 1
                }
                try await eventually("nothing to wait") {
                    try await relay.metric("contact_relay_webhook_waiting") == 0
                }
                let request = try #require(hook.requests.first)
                #expect(request.hasPrefix("POST /dead?token=s3 HTTP/1.1\r\n"))
                #expect(!request.contains(Samples.key) && !request.lowercased().contains("x-dexatel-key"))
                let event = try Event(request)
                #expect(request.contains("Idempotency-Key: \"\(event.eventId)\"\r\n"))
                #expect(request.contains("Content-Type: application/json\r\n"))
                #expect(event.id == answer.write && event.contactId == Samples.contact && event.method == "PUT")
                #expect(event.reason == "status 422" && event.attempts == 1 && event.response?.status == 422)
                #expect(try await relay.metric("contact_relay_webhook_failures_total") == 0)
                #expect(try await relay.stop() == .exited(0))
                #expect(hook.requests.count == 1)
                try await eventually("the line") {
                    relay.process.output.contains("a write died after its sender was told 202")
                }
                #expect(!relay.process.output.contains("s3"), "the URL may hold a secret")
                try await hook.stop()
            }
        }

        @Test("Neither failures nor a kill lose an event, redirects are not followed, and each keeps its name")
        func failures() async throws {
            try await withSandbox { sandbox in
                let isWell = Mutex(false)
                let elsewhere = try await ScriptedServer { _, _ in Self.reply("200 OK") }
                let location = "Location: \(elsewhere.url)/\r\n"
                let hook = try await ScriptedServer { _, number in
                    if isWell.withLock({ $0 }) { return Self.reply("200 OK") }
                    return [
                        Self.reply("500 Internal Server Error"), Self.reply("307 Temporary Redirect", location),
                        .replyThenReset("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nha"),
                    ][number % 3]
                }
                let simulator = try await refusing(sandbox)
                let settings = ["writes.on_dead_url": hook.url]
                let first = try await RelayProcess(in: sandbox, upstream: simulator, settings)
                var ids: Set<String> = []
                for number in 1...3 {
                    let answer = try await first.put(to: contact(number), prefer: "respond-async")
                    try await first.waitForState("dead", of: answer)
                    ids.insert(try #require(answer.write))
                }
                try await eventually("three failures") {
                    try await first.metric("contact_relay_webhook_failures_total") >= 3
                }
                #expect(try await first.metric("contact_relay_webhook_told_total") == 0)
                #expect(try await first.metric("contact_relay_webhook_waiting") == 3)
                #expect(try await first.status().webhook?.lastError != nil)
                // It disturbs nothing else.
                #expect(try await first.send(.GET, "/_relay/ready").status == 200)
                try await first.kill()
                let failed = hook.requests.count
                isWell.withLock { $0 = true }
                let second = try await RelayProcess(in: sandbox, upstream: simulator, settings)
                try await eventually("all to be told") {
                    try await second.metric("contact_relay_webhook_waiting") == 0
                }
                let events = try hook.requests.map(Event.init)
                #expect(Set(events.dropFirst(failed).map(\.id)) == ids)
                #expect(events.count == failed + 3, "each once")
                for (id, group) in Dictionary(grouping: events, by: \.id) {
                    #expect(Set(group.map(\.eventId)).count == 1, "\(id)")
                }
                #expect(elsewhere.requests == [])
                try await hook.stop()
                try await elsewhere.stop()
            }
        }

        @Test("A receiver that never answers, or is not there, holds up no write and no end of the daemon")
        func silence() async throws {
            try await withSandbox { sandbox in
                let hook = try await ScriptedServer { _, _ in .silence }
                let settings = ["writes.on_dead_url": hook.url]
                let simulator = try await refusing(sandbox)
                let relay = try await RelayProcess(in: sandbox, upstream: simulator, settings)
                let dead = try await relay.put(to: contact(1), prefer: "respond-async")
                try await relay.waitForState("dead", of: dead)
                try await eventually("the event") { hook.requests.count == 1 }
                try await simulator.clearFaults()
                for number in 2...9 { #expect(try await relay.put(to: contact(number)).status == 200) }
                #expect(try await relay.stop() == .exited(0))
                try await hook.stop()
                let again = try await RelayProcess(in: sandbox, upstream: simulator, settings)
                try await eventually("a failure") {
                    try await again.metric("contact_relay_webhook_failures_total") >= 1
                }
                #expect(try await again.put(to: contact(2)).status == 200)
                #expect(try await again.metric("contact_relay_webhook_waiting") == 1)
            }
        }
    }
}
