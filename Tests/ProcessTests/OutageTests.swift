import AdminAPI
import TestSupport
import Testing

extension ProcessTests {
    /// P1, P2 and P3 under fire.
    @Suite struct OutageTests {
        @Test(
            "2 000 writes to 200 contacts survive outages and five kills, each contact's in the order of commit",
            arguments: [false, true]
        )
        func outagesAndKills(supersedes: Bool) async throws {
            let seed = UInt64.random(in: 0...UInt64.max)
            print("outage test: seed \(seed)")
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox, flags: ["--create-on-put"])
                let storm = WriteStorm(seed: seed)
                let settings = [
                    "writes.reply_wait": "300ms", "writes.supersede": "\(supersedes)",
                    // Most of it comes before the key has ever succeeded upstream, in some orders of events.
                    "writes.max_pending_unverified_per_key": "100000", "writes.max_pending_unverified": "100000",
                ]
                var relay = try await RelayProcess(in: sandbox, upstream: simulator, settings)
                storm.endpoint = relay

                let clients = Task { try await storm.run() }
                defer { clients.cancel() }
                for event in storm.events {
                    try await eventually("\(event.afterAttempts) attempts") { storm.attempts >= event.afterAttempts }
                    switch event.kind {
                    case .upstreamDown: try await simulator.goDown()
                    case .upstreamUp: try await simulator.goUp()
                    case .kill:
                        storm.endpoint = nil
                        try await relay.kill()
                        // What it had sent is decided before anything else comes.
                        try await eventually("the upstream to notice") { try await simulator.openConnections() == 0 }
                        let acknowledged = storm.acknowledged.count
                        relay = try await RelayProcess(in: sandbox, upstream: simulator, settings)
                        let outbox = try await relay.status().outbox
                        Self.expectBalance(outbox)
                        #expect(outbox.accepted >= Int64(acknowledged))
                        storm.endpoint = relay
                    }
                }
                try await clients.value
                try await eventually("an empty queue") { try await relay.status().outbox.pending == 0 }

                let outbox = try await relay.status().outbox
                Self.expectBalance(outbox)
                #expect(outbox.accepted == outbox.delivered + outbox.superseded)
                #expect(supersedes || outbox.superseded == 0)
                #expect(outbox.accepted >= Int64(storm.acknowledged.count))
                #expect(outbox.accepted <= Int64(WriteStorm.writeCount))
                try await Self.expectOrder(storm, relay, simulator, outbox)
            }
        }

        private static func expectBalance(_ outbox: RelayStatus.Outbox) {
            let ended = outbox.delivered + outbox.rejected + outbox.superseded + outbox.dead + outbox.discarded
            #expect(outbox.accepted == outbox.pending + ended)
            #expect(outbox.inFlight + outbox.held <= outbox.pending)
        }

        private static func expectOrder(
            _ storm: WriteStorm,
            _ relay: RelayProcess,
            _ simulator: SimulatorProcess,
            _ outbox: RelayStatus.Outbox
        ) async throws {
            var acknowledged: [String: [(sequence: Int64, tag: String)]] = [:]
            var superseded: [String: Int64] = [:]
            for (tag, write) in storm.acknowledged {
                let receipt = try await relay.receiptAnswer(write).decoded(Receipt.self)
                guard receipt.state != "superseded" else {
                    superseded[receipt.contactId] = max(superseded[receipt.contactId] ?? 0, receipt.sequence)
                    continue
                }
                #expect(receipt.state == "delivered", "\(tag) was acknowledged")
                acknowledged[receipt.contactId, default: []].append((receipt.sequence, tag))
            }
            var applied: [String: [String]] = [:]
            for entry in try await simulator.log() where entry.applied {
                let contact = try #require(entry.contact)
                let tag = try #require(entry.firstName)
                // An attempt that is repeated comes directly after the one whose outcome was lost.
                if applied[contact]?.last != tag { applied[contact, default: []].append(tag) }
            }
            for (contact, writes) in acknowledged {
                let order = writes.sorted { $0.sequence < $1.sequence }.map(\.tag)
                let known = Set(order)
                // Unless the last write was not acknowledged, as the relay was killed then.
                if let last = superseded[contact], applied[contact]?.last == order.last {
                    #expect(writes.contains { $0.sequence > last }, "something later stood for it")
                }
                #expect(applied[contact, default: []].filter(known.contains) == order, "contact \(contact)")
            }
            // Each write is in the log in one place only, and those that were not acknowledged are counted all the same.
            let all = applied.values.flatMap { $0 }
            #expect(Set(all).count == all.count)
            // An attempt that took effect just before a kill may be covered by a later write after it: one more in the log.
            #expect((outbox.delivered...(outbox.delivered + outbox.superseded)).contains(Int64(all.count)))
        }
    }
}
