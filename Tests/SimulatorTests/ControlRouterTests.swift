import ArgumentParser
import Testing

@testable import dexatel_simulator

@Suite("Control calls")
struct ControlRouterTests {
    private func call(
        _ method: String,
        _ target: String,
        _ body: String = "",
        _ core: inout SimulatorCore
    ) -> SimulatorReply {
        switch ControlRouter.route(Samples.request(method, target, body), &core) {
        case .reply(let reply), .faultsChanged(let reply): reply
        case .log(let entries, let dropped, let form): LogRendering.reply(entries, dropped: dropped, form: form)
        }
    }

    @Test("contacts can be stored in bulk, by list and by count, and looked at raw")
    func bulk() {
        var core = SimulatorCore()
        let body = """
            {"audience_id":"\(Samples.unknown)","count":5,
             "contacts":[{"id":"\(Samples.contact)","first_name":"Ada","tags":["t"]},{"number":"77"}]}
            """
        let reply = call("POST", "/contacts", body, &core)
        #expect(reply.status == 201)
        #expect(reply.json == .object(["stored": .integer(7), "total": .integer(7)]))
        let contact = call("GET", "/contacts/\(Samples.unknown)/\(Samples.contact)", "", &core).json
        #expect(contact?["first_name"]?.string == "Ada")
        #expect(contact?["links"] == nil)
        #expect(call("GET", "/contacts/\(Samples.unknown)/\(Samples.unknown)", "", &core).status == 404)
    }

    @Test("a bulk of which one contact is wrong stores none")
    func wrongBulk() {
        var core = SimulatorCore()
        let body = #"{"audience_id":"\#(Samples.unknown)","contacts":[{"number":"1"},{"first_name":"nobody"}]}"#
        #expect(call("POST", "/contacts", body, &core).status == 400)
        #expect(call("POST", "/contacts", "{}", &core).status == 400)
        #expect(core.state.contactCount == 0)
    }

    @Test("counts tell requests, statuses, contacts and the log")
    func counts() {
        var core = SimulatorCore(settings: Samples.settings())
        _ = core.serve(Samples.request("GET", Samples.contactPath))
        _ = core.serve(Samples.request("GET", Samples.unknownPath))
        let json = call("GET", "/counts", "", &core).json
        #expect(json?["total"]?.integer == 2)
        #expect(json?["by_method"] == .object(["GET": .integer(2)]))
        #expect(json?["by_status"] == .object(["200": .integer(1), "404": .integer(1)]))
        #expect(json?["contacts"]?.integer == 3)
        #expect(json?["log"]?["entries"]?.integer == 2)
        #expect(call("DELETE", "/log", "", &core).status == 204)
        #expect(call("GET", "/log", "", &core).json == .array([]))
    }

    @Test("what is no call is told apart from what is not a call of that path")
    func unknown() {
        var core = SimulatorCore()
        #expect(call("GET", "/nothing", "", &core).status == 404)
        #expect(call("POST", "/faults", "{}", &core).status == 405)
        #expect(call("PUT", "/faults", #"{"storm":1}"#, &core).status == 400)
        #expect(call("GET", "/log?since=x", "", &core).status == 400)
    }

    @Test("the command line becomes the settings of the server")
    func commandLine() throws {
        let command = try SimulatorCommand.parse([
            "--port", "0", "--control-port", "1", "--put-semantics", "replace", "--known-key", "a", "--known-key", "b",
            "--forbidden-key", "c", "--seed-contacts", "4", "--create-on-put", "--cache-control", "no-store", "--etag",
            "--log-limit", "9",
        ])
        let options = command.options
        #expect(options.port == 0)
        #expect(options.controlPort == 1)
        #expect(options.logLimit == 9)
        #expect(options.settings.putSemantics == .replace)
        #expect(options.settings.knownKeys == ["a", "b"])
        #expect(options.settings.forbiddenKeys == ["c"])
        #expect(options.settings.seedContactCount == 4)
        #expect(options.settings.createsOnPut)
        #expect(options.settings.sendsETags)
        #expect(try !SimulatorCommand.parse([]).options.settings.createsOnPut)
        #expect(throws: (any Error).self) { try SimulatorCommand.parse(["--put-semantics", "guess"]) }
    }
}
