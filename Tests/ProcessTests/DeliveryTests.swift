import AdminAPI
import NIOHTTP1
import TestSupport
import Testing

extension ProcessTests {
    /// What becomes of a write whose sender has its 202 (design §3.3).
    @Suite struct DeliveryTests {
        @Test("A refusal after a 202 kills the write and is kept with its receipt", arguments: [400, 409])
        func dead(status: Int) async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let relay = try await RelayProcess(in: sandbox, upstream: simulator)
                try await simulator.setFaults(#"{"status":{"status":\#(status),"code":1360}}"#)
                let answer = try await relay.put(prefer: "respond-async")
                #expect(answer.status == 202)
                try await relay.waitForState("dead", of: answer)
                #expect(try await relay.receipt(of: answer).response?.status == status)
                #expect(try await relay.status().outbox.dead == 1)
                // After a dead entry the lane goes on.
                try await simulator.clearFaults()
                let next = try await relay.put("Augusta")
                #expect(next.status == 200)
                #expect(try await simulator.applied() == ["Augusta"])
                // And later replies tell the app, that key's alone.
                #expect(next.headers["Contact-Relay-Dead"] == ["1"])
                for _ in 0..<2 {
                    let read = try await relay.send(.GET, Samples.target, headers: ["X-Dexatel-Key": Samples.key])
                    #expect(read.status == 200 && read.headers["Contact-Relay-Dead"] == ["1"])
                }
                let other = try await relay.send(.GET, Samples.target, headers: ["X-Dexatel-Key": "another"])
                #expect(other.headers["Contact-Relay-Dead"] == [])
            }
        }

        @Test("A key that is refused after a 202 holds its writes, and lets them go when it is taken again")
        func heldKey() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let relay = try await RelayProcess(in: sandbox, upstream: simulator, ["writes.hold_probe": "200ms"])
                try await simulator.setFaults(#"{"status":{"status":401,"key":"\#(Samples.key)"}}"#)
                let answer = try await relay.put(prefer: "respond-async")
                #expect(answer.status == 202)
                try await relay.waitForState("held", of: answer)
                #expect(try await relay.status().outbox.held == 1)
                let refused = try await relay.put("refused")
                #expect(refused.status == 401)
                #expect(refused.headers["Contact-Relay-Error"] == ["key_refused"])
                #expect(try await relay.status().outbox.accepted == 1)
                try await simulator.clearFaults()
                try await relay.waitForState("delivered", of: answer)
                #expect(try await relay.put("Augusta").status == 200)
                #expect(try await simulator.applied() == ["Ada", "Augusta"])
            }
        }

        @Test("A write that is forbidden after a 202 is held alone")
        func heldWrite() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox, flags: ["--create-on-put"])
                let relay = try await RelayProcess(in: sandbox, upstream: simulator, ["writes.hold_probe": "200ms"])
                try await simulator.setFaults(#"{"status":{"status":403,"contact":"\#(Samples.contact)"}}"#)
                let answer = try await relay.put(prefer: "respond-async")
                try await relay.waitForState("held", of: answer)
                #expect(try await relay.put("other", to: Samples.audience).status == 200)
                try await simulator.clearFaults()
                try await relay.waitForState("delivered", of: answer)
                #expect(try await simulator.applied() == ["Ada"])
            }
        }

        @Test("A 500 ends the wait with 202, and the write is repeated until it is delivered")
        func serverError() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let relay = try await RelayProcess(in: sandbox, upstream: simulator)
                try await simulator.setFaults(#"{"status":{"status":500,"count":2}}"#)
                let answer = try await relay.put()
                #expect(answer.status == 202)
                try await relay.waitForState("delivered", of: answer)
                #expect(try await relay.receipt(of: answer).attempts == 3)
                #expect(try await simulator.applied() == ["Ada"])
            }
        }

        @Test(
            "Neither a maintenance page nor a redirect counts as delivery",
            arguments: [#"{"maintenance_page":true}"#, #"{"redirect":{"location":"http://127.0.0.1:1/"}}"#]
        )
        func unexpectedReplies(fault: String) async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let relay = try await RelayProcess(in: sandbox, upstream: simulator)
                try await simulator.setFaults(fault)
                let answer = try await relay.put()
                #expect(answer.status == 202)
                try await eventually("three attempts") { try await relay.receipt(of: answer).attempts >= 3 }
                let receipt = try await relay.receipt(of: answer)
                #expect(["pending", "in_flight"].contains(receipt.state))
                #expect(receipt.lastError?.hasPrefix("unexpected_reply") == true)
                #expect(try await simulator.applied() == [])
                try await simulator.clearFaults()
                try await relay.waitForState("delivered", of: answer)
                #expect(try await simulator.applied() == ["Ada"])
            }
        }

        @Test("An attempt with an unknown outcome marks the receipt ambiguous and is repeated")
        func ambiguous() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let relay = try await RelayProcess(in: sandbox, upstream: simulator)
                try await simulator.setFaults(#"{"reset_after_apply":{"count":1}}"#)
                let answer = try await relay.put()
                #expect(answer.status == 202)
                try await relay.waitForState("delivered", of: answer)
                #expect(try await relay.receipt(of: answer).ambiguous)
                #expect(try await simulator.applied() == ["Ada", "Ada"])
                // The next one's outcome is known.
                let clear = try await relay.put("Augusta")
                #expect(clear.status == 200)
                #expect(try await relay.receipt(of: clear).ambiguous == false)
            }
        }

        @Test("A 429 is obeyed: the next attempt comes no sooner than Retry-After says")
        func tooManyRequests() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let relay = try await RelayProcess(in: sandbox, upstream: simulator)
                try await simulator.setFaults(#"{"status":{"status":429,"count":1,"retry_after":"1"}}"#)
                let answer = try await relay.put()
                #expect(answer.status == 202)
                try await relay.waitForState("delivered", of: answer)
                let log = try await simulator.log()
                #expect(log.map(\.status) == [429, 200])
                // The simulator's own clock; how much later it is does not matter.
                let times = log.map(\.timeMs)
                #expect((times.last ?? 0) - (times.first ?? 0) >= 990)
            }
        }
    }
}
