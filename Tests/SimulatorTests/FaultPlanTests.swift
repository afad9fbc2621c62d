import Testing

@testable import dexatel_simulator

@Suite("Fault plan")
struct FaultPlanTests {
    private func plan(_ json: String) throws -> FaultPlan {
        var plan = FaultPlan()
        try plan.apply(JSONValue(parsing: Array(json.utf8)))
        return plan
    }

    private func effects(_ plan: inout FaultPlan, _ requests: [SimulatorRequest]) -> [String?] {
        requests.map { plan.decide($0).effect?.name }
    }

    private let get = Samples.request("GET", Samples.contactPath)
    private let put = Samples.request("PUT", Samples.contactPath, "{}")
    private let other = Samples.request("PUT", Samples.unknownPath, "{}", key: "key-2")

    @Test("a counted rule acts so often and no more")
    func count() throws {
        var plan = try plan(#"{"status":[{"status":500,"count":2}]}"#)
        #expect(effects(&plan, [get, put, get]) == ["status", "status", nil])
        #expect(plan.rules.isEmpty)
    }

    @Test("a rule without a count acts until it is cleared")
    func endless() throws {
        var plan = try plan(#"{"garbage":true}"#)
        #expect(effects(&plan, Array(repeating: get, count: 50)).allSatisfy { $0 == "garbage" })
        try plan.apply(.object(["garbage": .null]))
        #expect(effects(&plan, [get]) == [nil])
    }

    @Test(
        "a rule meets only what its filters name",
        arguments: [
            #""contact":"\#(Samples.unknown.uppercased())""#, #""key":"key-2""#,
            #""contact":"\#(Samples.unknown)","key":"key-2","method":"PUT""#,
        ]
    )
    func filters(_ filter: String) throws {
        var plan = try plan(#"{"reset_after_apply":{\#(filter)}}"#)
        #expect(effects(&plan, [get, put, other]) == [nil, nil, "reset_after_apply"])
    }

    @Test("a method can be named, and a request that a rule does not meet uses none of it up")
    func method() throws {
        var plan = try plan(#"{"redirect":{"location":"http://x/","method":"PUT","count":1}}"#)
        #expect(effects(&plan, [get, get, put, put]) == [nil, nil, "redirect", nil])
    }

    @Test("the first rule that meets a request acts alone, in the order of kinds and of the list")
    func order() throws {
        var plan = try plan(
            #"{"slow_body":{"bytes_per_second":9,"count":1},"status":[{"status":500,"count":1},{"status":502,"count":1}]}"#
        )
        let decided = (0..<4).map { _ in plan.decide(get).effect }
        #expect(decided[0] == .status(StatusFault(status: 500)))
        #expect(decided[1] == .status(StatusFault(status: 502)))
        #expect(decided[2] == .slowBody(bytesPerSecond: 9))
        #expect(decided[3] == nil)
    }

    @Test("every kind can be put, read back and put again")
    func roundTrip() throws {
        let plan = try plan(
            """
            {"mode":"down","latency_ms":5,"latency_jitter_ms":6,
             "status":{"status":429,"retry_after":"Wed, 21 Oct 2026 07:28:00 GMT","body":{"a":[1]},"code":7,"key":"k"},
             "redirect":{"status":307,"location":"http://x/","count":4},"maintenance_page":[{"count":1},{"count":2}],
             "garbage":true,"reset_after_apply":{"contact":"\(Samples.contact)"},"reset_mid_reply":{"method":"PUT"},
             "slow_body":{"bytes_per_second":10}}
            """
        )
        #expect(plan.rules.count == 8)
        var again = FaultPlan()
        try again.apply(JSONValue(parsing: plan.json.text))
        #expect(again.rules == plan.rules)
        #expect(again.mode == .down)
        #expect(again.json == plan.json)
    }

    @Test("what is not named stays, clearing clears everything")
    func partial() throws {
        var plan = try plan(#"{"latency_ms":50,"status":{"status":500}}"#)
        try plan.apply(.object(["mode": .string("black-hole")]))
        #expect(plan.latencyMilliseconds == 50)
        #expect(plan.rules.count == 1)
        plan.clear()
        #expect(plan.json == FaultPlan().json)
        #expect(plan.decide(get) == FaultPlan.Decision(delayMilliseconds: 0, effect: nil))
    }

    @Test("latency holds every reply back, jitter adds no more than it says")
    func latency() throws {
        var plan = try plan(#"{"latency_ms":100,"latency_jitter_ms":10}"#)
        let delays = (0..<200).map { _ in plan.decide(get).delayMilliseconds }
        #expect(delays.allSatisfy { (100...110).contains($0) })
        #expect(Set(delays).count > 5)
    }

    @Test("in a black hole no rule is used up")
    func blackHole() throws {
        var plan = try plan(#"{"mode":"black-hole","garbage":{"count":1}}"#)
        #expect(plan.decide(get).effect == .blackHole)
        #expect(plan.rules.count == 1)
    }

    @Test(
        "what makes no sense is refused and changes nothing",
        arguments: [
            "[]", "nonsense", #"{"mode":"sideways"}"#, #"{"latency_ms":-1}"#, #"{"latency_ms":"5"}"#,
            #"{"status":[{}]}"#, #"{"status":[{"status":99}]}"#, #"{"status":[{"status":500,"typo":1}]}"#,
            #"{"status":[500]}"#, #"{"slow_body":{}}"#, #"{"slow_body":{"bytes_per_second":0}}"#,
            #"{"redirect":true}"#, #"{"garbage":{"contact":"x"}}"#, #"{"garbage":{"count":-1}}"#, #"{"storm":true}"#,
            #"{"status":{"status":500,"retry_after":"1\r\nX: y"}}"#,
        ]
    )
    func nonsense(_ json: String) throws {
        var plan = try plan(#"{"latency_ms":7,"garbage":true}"#)
        let before = plan.json
        #expect(throws: FaultSyntaxError.self) {
            try plan.apply(JSONValue(parsing: Array((json).utf8)))
        }
        #expect(plan.json == before)
    }
}
