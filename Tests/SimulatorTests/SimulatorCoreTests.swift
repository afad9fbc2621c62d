import Testing

@testable import dexatel_simulator

@Suite("Faults, contacts and log together")
struct SimulatorCoreTests {
    private func core(_ faults: String = "{}", logLimit: Int = 100) throws -> SimulatorCore {
        var core = SimulatorCore(settings: Samples.settings(), logLimit: logLimit)
        try core.faults.apply(JSONValue(parsing: Array(faults.utf8)))
        return core
    }

    private let put = Samples.request("PUT", Samples.contactPath, #"{"data":{"first_name":"Ada"}}"#)

    private func firstName(_ core: SimulatorCore) -> String? {
        core.state.audiences[SimulatorSettings.seedAudience]?[SimulatorSettings.seedContact]?.texts[.firstName]
    }

    @Test(
        "a fault decides what is sent and whether the write is applied",
        arguments: [
            ("{}", 200, true), (#"{"status":{"status":503}}"#, 503, false), (#"{"mode":"black-hole"}"#, 0, false),
            (#"{"redirect":{"location":"http://x/"}}"#, 302, false), (#"{"maintenance_page":true}"#, 200, false),
            (#"{"garbage":true}"#, 0, false), (#"{"reset_after_apply":true}"#, 0, true),
            (#"{"reset_mid_reply":true}"#, 200, true), (#"{"slow_body":{"bytes_per_second":5}}"#, 200, true),
        ]
    )
    func faults(_ json: String, _ status: Int, _ isApplied: Bool) throws {
        var core = try core(json)
        let delivery = core.serve(put)
        #expect(delivery.script.status == status)
        #expect(firstName(core) == (isApplied ? "Ada" : "First 0"))
        let entry = try #require(core.log.entries(since: 0, limit: 10).first)
        #expect(entry.status == status)
        #expect(entry.isApplied == isApplied)
        #expect((entry.fault == nil) == (json == "{}"))
    }

    @Test("an error carries Retry-After and either the upstream's shape or the body that was asked for")
    func statusReplies() throws {
        var core = try core(
            """
            {"status":[{"status":429,"retry_after":2,"count":1},{"status":404,"code":1351,"count":1},
             {"status":404,"body":"<h1>no</h1>","count":1},{"status":400,"body":{"odd":true},"count":1}]}
            """
        )
        func next() throws -> SimulatorReply {
            guard case .whole(let reply) = core.serve(put).script else { throw Unexpected() }
            return reply
        }
        let limited = try next()
        #expect(limited.value(of: "Retry-After") == "2")
        #expect(limited.errorCode == 0)
        #expect(try next().errorCode == 1351)
        let page = try next()
        #expect(page.body == Array("<h1>no</h1>".utf8))
        #expect(page.value(of: "Content-Type")?.hasPrefix("text/plain") == true)
        #expect(try next().body == Array(#"{"odd":true}"#.utf8))
        #expect(try next().status == 200)
    }

    @Test("the log numbers requests in order, tells keys apart and never shows them")
    func log() throws {
        var core = try core()
        _ = core.serve(put)
        _ = core.serve(Samples.request("GET", Samples.listPath + "?page_size=1", key: "secret-2"))
        _ = core.serve(Samples.request("DELETE", Samples.unknownPath, key: nil))
        let reply = LogRendering.reply(core.log.entries(since: 0, limit: 10), dropped: 0, form: .array)
        let entries = try #require(reply.json?.elements)
        #expect(entries.compactMap { $0["n"]?.integer } == [1, 2, 3])
        #expect(entries[0]["contact"]?.string == Samples.contact)
        #expect(entries[0]["audience"]?.string == Samples.audience)
        #expect(entries[0]["body"]?["data"]?["first_name"]?.string == "Ada")
        #expect(entries[0]["time_ms"]?.integer == Int(Samples.nowMilliseconds))
        #expect(entries[0]["applied"] == .bool(true))
        #expect(entries[1]["contact"] == .null)
        #expect(entries[1]["target"]?.string == Samples.listPath + "?page_size=1")
        #expect(entries.map { $0["key_index"] } == [.integer(0), .integer(1), .null])
        #expect(entries[1]["key_fingerprint"]?.string?.count == 16)
        #expect(entries[2]["status"]?.integer == 401)
        #expect(!String(decoding: reply.body, as: UTF8.self).contains("secret-2"))
    }

    @Test("lines of the log are lines even where a body was not one")
    func lines() throws {
        var core = try core()
        _ = core.serve(Samples.request("PUT", Samples.contactPath, "{\r\n \"data\": {}\n}\n"))
        _ = core.serve(Samples.request("PUT", Samples.contactPath, "not JSON"))
        let reply = LogRendering.reply(core.log.entries(since: 0, limit: 10), dropped: 0, form: .lines)
        let lines = reply.body.split(separator: UInt8(ascii: "\n")).map { JSONValue(parsing: Array($0)) }
        #expect(lines.count == 2)
        #expect(lines[0]?["body"] == .object(["data": .object([:])]))
        #expect(lines[1]?["body"] == .null)
        #expect(lines[1]?["body_bytes"]?.integer == 8)
    }

    @Test("a full log loses its oldest entries and says how many; numbers go on over a clearing")
    func bounded() throws {
        var core = try core(logLimit: 3)
        for _ in 0..<5 { _ = core.serve(put) }
        #expect(core.log.entries(since: 0, limit: 10).map(\.number) == [3, 4, 5])
        #expect(core.log.entries(since: 4, limit: 10).map(\.number) == [5])
        #expect(core.log.entries(since: 99, limit: 10).isEmpty)
        #expect(core.log.entries(since: 0, limit: 1).map(\.number) == [3])
        #expect(core.log.droppedCount == 2)
        #expect(LogRendering.reply([], dropped: 2, form: .array).value(of: LogRendering.droppedField) == "2")
        core.log.clear()
        _ = core.serve(put)
        #expect(core.log.entries(since: 0, limit: 10).map(\.number) == [6])
    }

    @Test("a reply that was never sent is logged and counted as none")
    func withdrawal() throws {
        var core = try core()
        _ = core.serve(put)
        let delivery = core.serve(put)
        core.withdraw(delivery)
        #expect(core.log.entries(since: 0, limit: 10).map(\.status) == [200, 0])
        #expect(core.counts.byStatus == [200: 1, 0: 1])
        #expect(core.counts.byMethod == ["PUT": 2])
    }

    private struct Unexpected: Error {}
}
