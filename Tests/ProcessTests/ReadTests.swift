import AdminAPI
import Foundation
import NIOHTTP1
import TestSupport
import Testing

extension ProcessTests {
    /// P4, P5 and P6 for reads, from outside.
    @Suite struct ReadTests {
        private static let contactCount = 1_000

        /// The targets of the contacts that the simulator was started with, page by page.
        private func targets(_ relay: RelayProcess) async throws -> [String] {
            var targets: [String] = []
            var next: String? = "/v1/audiences/\(Samples.audience)/contacts?page_size=100"
            while let page = next {
                let answer = try await relay.send(.GET, page, headers: ["X-Dexatel-Key": Samples.key])
                let document = try #require(
                    try JSONSerialization.jsonObject(with: Data(answer.body)) as? [String: Any]
                )
                let items = try #require(document["data"] as? [[String: Any]])
                targets += items.compactMap { $0["id"] as? String }.map(Samples.target)
                let links = (document["pagination"] as? [String: Any])?["links"] as? [String: Any]
                next = (links?["next"] as? String).flatMap(URL.init(string:)).map { $0.path + "?" + ($0.query ?? "") }
            }
            return targets
        }

        private func read(_ relay: RelayProcess, _ targets: [String], clients: Int = 8) async throws -> [Answer] {
            try await withThrowingTaskGroup(of: [Answer].self) { group in
                for client in 0..<clients {
                    group.addTask {
                        var answers: [Answer] = []
                        for index in stride(from: client, to: targets.count, by: clients) {
                            answers.append(
                                try await relay.send(.GET, targets[index], headers: ["X-Dexatel-Key": Samples.key])
                            )
                        }
                        return answers
                    }
                }
                return try await group.reduce(into: []) { $0 += $1 }
            }
        }

        private static let pages = (1...50).map { "/v1/audiences/\(Samples.audience)/contacts?page_size=\($0)" }

        @Test(
            "1 000 contacts and 50 pages, read once, answer through an outage and a restart, and cost one request each afterwards"
        )
        func outage() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(
                    in: sandbox,
                    flags: ["--seed-contacts", String(Self.contactCount)]
                )
                let settings = ["reads.default_ttl": "1d"]
                var relay = try await RelayProcess(in: sandbox, upstream: simulator, settings)
                let contacts = try await targets(relay)
                #expect(contacts.count == Self.contactCount)
                let targets = contacts + Self.pages
                let first = try await read(relay, targets)
                #expect(first.allSatisfy { $0.status == 200 })
                // Somebody adds a contact: everything below is in doubt, and to be asked for again.
                let created = try await relay.send(
                    .POST,
                    "/v1/audiences/\(Samples.audience)/contacts",
                    headers: Samples.headers(),
                    body: #"{"data":{"number":"4915112345678"}}"#
                )
                #expect(created.status == 201)

                try await simulator.goDown()
                let requestsBefore = try await simulator.log().count
                for isRestarted in [false, true] {
                    if isRestarted {
                        _ = try await relay.stop()
                        relay = try await RelayProcess(in: sandbox, upstream: simulator, settings)
                    }
                    let stale = try await read(relay, targets)
                    #expect(stale.count == targets.count && stale.allSatisfy { $0.status == 200 })
                    #expect(Set(stale.map(\.body)) == Set(first.map(\.body)))
                    #expect(stale.count(where: Self.isMarkedStale) == stale.count)
                }
                #expect(try await simulator.log().count == requestsBefore)

                try await simulator.goUp()
                // The breaker finds out by itself, with somebody's read.
                try await eventually("the upstream to be believed again") {
                    _ = try await relay.send(.GET, targets[0], headers: ["X-Dexatel-Key": Samples.key])
                    return try await relay.status().upstream.state == "closed"
                }
                let (others, current) = (Array(targets.dropFirst()), relay)
                let answers = try await withThrowingTaskGroup(of: [Answer].self) { group in
                    // Five clients at a time for each of them.
                    for _ in 0..<5 { group.addTask { try await read(current, others, clients: 2) } }
                    return try await group.reduce(into: []) { $0 += $1 }
                }
                #expect(answers.count == 5 * others.count && answers.allSatisfy { $0.status == 200 })
                #expect(answers.count(where: Self.isMarkedStale) == 0)
                let asked = try await simulator.log().dropFirst(requestsBefore)
                let counts = Dictionary(grouping: asked, by: \.target).mapValues(\.count)
                #expect(others.allSatisfy { counts[$0] == 1 })
            }
        }

        @Test(
            "1 000 contacts and 50 pages answer after a restart while the upstream is dead",
            arguments: [true, false]
        )
        func restart(isKilled: Bool) async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(
                    in: sandbox,
                    flags: ["--seed-contacts", String(Self.contactCount)]
                )
                var relay = try await RelayProcess(in: sandbox, upstream: simulator)
                let targets = try await targets(relay) + Self.pages
                let first = try await read(relay, targets)
                #expect(first.allSatisfy { $0.status == 200 })
                // What was read is written behind.
                try await eventually("everything that is in memory to be on disk") {
                    let inMemory = try await relay.metric("contact_relay_cache_entries")
                    #expect(Int(inMemory) >= targets.count)
                    return try await relay.metric("contact_relay_cache_disk_replies") >= inMemory
                }
                try await simulator.goDown()
                if isKilled { try await relay.kill() } else { _ = try await relay.stop() }
                relay = try await RelayProcess(in: sandbox, upstream: simulator)
                let again = try await read(relay, targets)
                #expect(again.allSatisfy { $0.status == 200 })
                #expect(Set(again.map(\.body)) == Set(first.map(\.body)))
                // After a crash nobody knows what else has happened to them.
                if isKilled { #expect(again.count(where: Self.isMarkedStale) == again.count) }
                let other = try await relay.send(.GET, targets[0], headers: ["X-Dexatel-Key": "another"])
                #expect(other.status == 504)
            }
        }

        @Test("a key that was refused gets nothing from the cache after a restart either")
        func refusedOverRestart() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                var relay = try await RelayProcess(in: sandbox, upstream: simulator)
                let key: HTTPHeaders = ["X-Dexatel-Key": Samples.key]
                #expect(try await relay.send(.GET, Samples.target, headers: key).status == 200)
                try await eventually("it to be on disk") {
                    try await relay.metric("contact_relay_cache_disk_replies") == 1
                }
                try await simulator.setFaults(#"{"status":[{"status":401}]}"#)
                #expect(try await relay.send(.GET, "/v1/senders", headers: key).status == 401)
                // Which follows within milliseconds.
                try await eventually("it to be gone from disk") {
                    try await relay.metric("contact_relay_cache_disk_replies") == 0
                }
                try await simulator.goDown()
                try await relay.kill()
                relay = try await RelayProcess(in: sandbox, upstream: simulator)
                #expect(try await relay.send(.GET, Samples.target, headers: key).status == 504)
            }
        }

        private static func isMarkedStale(_ answer: Answer) -> Bool {
            guard let status = answer.headers.first(name: "Cache-Status") else { return false }
            return status.contains("hit; ttl=0; detail=invalidated")
                || status.contains("fwd=stale; ttl=0; detail=unreachable")
        }

        @Test(
            "a write that is accepted while the upstream is down is in the next read and in the list, over a restart too"
        )
        func ownWrite() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                var relay = try await RelayProcess(in: sandbox, upstream: simulator)
                let list = "/v1/audiences/\(Samples.audience)/contacts"
                let key: HTTPHeaders = ["X-Dexatel-Key": Samples.key]
                for target in [Samples.target, list] { _ = try await relay.send(.GET, target, headers: key) }
                try await simulator.goDown()
                let put = try await relay.put("Zoe")
                #expect(put.status == 202)
                for target in [Samples.target, list] {
                    let answer = try await relay.send(.GET, target, headers: key)
                    #expect(answer.status == 200 && answer.text.contains(#""first_name":"Zoe""#))
                    #expect(answer.headers.first(name: "Contact-Relay-Pending") == "1")
                    let other = try await relay.send(.GET, target, headers: ["X-Dexatel-Key": "another"])
                    #expect(other.status == 504)
                }
                try await relay.kill()
                relay = try await RelayProcess(in: sandbox, upstream: simulator)
                let pending = try await relay.send(.GET, Samples.target, headers: key)
                #expect(pending.headers.first(name: "Contact-Relay-Pending") == "1")
                try await simulator.goUp()
                try await relay.waitForState("delivered", of: put)
                try await eventually("the delivered value") {
                    let answer = try await relay.send(.GET, Samples.target, headers: key)
                    return answer.status == 200 && answer.text.contains(#""first_name":"Zoe""#)
                        && answer.headers.first(name: "Contact-Relay-Pending") == nil
                }
            }
        }

        @Test(
            "what was delivered after a page was read is on that page, after a restart with the upstream dead as well"
        )
        func deliveredOverRestart() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                var relay = try await RelayProcess(in: sandbox, upstream: simulator)
                let list = "/v1/audiences/\(Samples.audience)/contacts"
                let key: HTTPHeaders = ["X-Dexatel-Key": Samples.key]
                #expect(try await relay.send(.GET, list, headers: key).status == 200)
                let put = try await relay.put("Zoe")
                #expect(put.status == 200)
                try await simulator.goDown()
                for _ in 0..<2 {
                    let page = try await relay.send(.GET, list, headers: key)
                    #expect(page.status == 200 && page.text.contains(#""first_name":"Zoe""#))
                    #expect(page.headers.first(name: "Contact-Relay-Pending") == nil)
                    _ = try await relay.stop()
                    relay = try await RelayProcess(in: sandbox, upstream: simulator)
                }
            }
        }

        @Test("200 clients that ask for one cold contact cost the upstream one request, and the metrics say so")
        func collapsed() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let relay = try await RelayProcess(in: sandbox, upstream: simulator)
                try await simulator.setFaults(#"{"latency_ms":400}"#)
                let targets = [String](repeating: Samples.target, count: 200)
                let answers = try await read(relay, targets, clients: 200)
                #expect(answers.count == 200 && answers.allSatisfy { $0.status == 200 })
                #expect(try await simulator.log().count == 1)
                let lines = try await relay.send(.GET, "/_relay/metrics").text.split(separator: "\n")
                func count(_ result: String) -> Int? {
                    let name = "contact_relay_reads_total{route=\"contact_read\",result=\"\(result)\"} "
                    return lines.first { $0.hasPrefix(name) }.flatMap { Int($0.dropFirst(name.count)) }
                }
                let collapsed = try #require(count("collapsed"))
                // Who came late had a hit.
                #expect(collapsed > 0 && collapsed + (count("hit") ?? 0) == 199 && count("fetched") == 1)
                #expect(try await relay.status().cache?.collapsed == UInt64(collapsed))
            }
        }

        @Test("metrics count what was read and written, and name no contact and no key")
        func metrics() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let relay = try await RelayProcess(in: sandbox, upstream: simulator)
                for _ in 0..<3 {
                    _ = try await relay.send(.GET, Samples.target, headers: ["X-Dexatel-Key": Samples.key])
                }
                _ = try await relay.put()
                let answer = try await relay.send(.GET, "/_relay/metrics")
                #expect(answer.headers.first(name: "Content-Type") == "text/plain; version=0.0.4; charset=utf-8")
                let lines = answer.text.split(separator: "\n").map(String.init)
                for expected in [
                    #"contact_relay_requests_total{route="contact_read",status="2xx"} 3"#,
                    #"contact_relay_requests_total{route="contact_write",status="2xx"} 1"#,
                    #"contact_relay_cache_lookups_total{result="hit"} 2"#,
                    #"contact_relay_cache_lookups_total{result="miss"} 1"#,
                    #"contact_relay_reads_total{route="contact_read",result="hit"} 2"#,
                    #"contact_relay_reads_total{route="contact_read",result="fetched"} 1"#,
                    #"contact_relay_reads_total{route="contact_list",result="hit"} 0"#,
                    "contact_relay_cache_collapsed_total 0", "contact_relay_cache_evicted_total 0",
                    #"contact_relay_outbox_writes{state="delivered"} 1"#,
                    "contact_relay_outbox_accepted_total 1",
                    #"contact_relay_outbox_ended_total{state="delivered"} 1"#,
                    #"contact_relay_outbox_attempts_total{outcome="delivered"} 1"#,
                    #"contact_relay_upstream_breaker_transitions_total{to="open"} 0"#,
                    "contact_relay_upstream_concurrency_limit 8",
                ] {
                    #expect(lines.contains(expected), "\(expected)")
                }
                #expect(!answer.text.contains(Samples.contact) && !answer.text.contains(Samples.key))
                // Each line is a comment, or a name, labels and a number.
                let grammar = /[a-z_]+(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? -?[0-9.]+/
                #expect(lines.allSatisfy { $0.hasPrefix("# ") || $0.wholeMatch(of: grammar) != nil })
                let status = try await relay.status()
                #expect(status.cache?.hits == 2 && status.cache?.entries == 1)
            }
        }
    }
}
