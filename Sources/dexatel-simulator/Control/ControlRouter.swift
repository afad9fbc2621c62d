import DexatelAPI

/// What the control calls do to the core; nothing here waits.
enum ControlRouter {
    enum Outcome: Sendable {
        case reply(SimulatorReply)
        /// Entries to be written outside of the lock.
        case log([LogEntry], dropped: Int, form: LogRendering.Form)
        /// The plan has changed: the API port is to follow before this reply goes out.
        case faultsChanged(SimulatorReply)
    }

    static func route(_ request: SimulatorRequest, _ core: inout SimulatorCore) -> Outcome {
        let method = request.method == "HEAD" ? "GET" : request.method
        switch (method, String(request.path)) {
        case ("GET", "/faults"):
            return .reply(SimulatorReply(status: 200, json: core.faults.json.text))
        case ("PUT", "/faults"):
            do {
                try core.faults.apply(JSONValue(parsing: request.body))
            } catch {
                return .reply(problem(400, error.message))
            }
            return faultsChanged(core)
        case ("DELETE", "/faults"):
            core.faults.clear()
            return faultsChanged(core)
        case ("GET", "/log"):
            return log(request, core, .array)
        case ("GET", "/log.ndjson"):
            return log(request, core, .lines)
        case ("DELETE", "/log"):
            core.log.clear()
            return .reply(SimulatorReply(status: 204))
        case ("GET", "/counts"):
            return .reply(SimulatorReply(status: 200, json: core.countsJSON.text))
        case ("POST", "/contacts"):
            return .reply(ContactSeed.store(request, in: &core.state))
        case ("GET", let path) where path.hasPrefix("/contacts/"):
            return .reply(contact(path, core))
        case (_, let path) where paths.contains(path) || path.hasPrefix("/contacts/"):
            return .reply(problem(405, "\(request.method) is not a call of \(path)"))
        default:
            return .reply(problem(404, "there is no such call"))
        }
    }

    /// An error of a control call.
    static func problem(_ status: Int, _ message: String) -> SimulatorReply {
        SimulatorReply(status: status, json: JSONValue.object(["error": .string(message)]).text)
    }

    private static let paths: Set<String> = ["/faults", "/log", "/log.ndjson", "/counts", "/contacts"]

    private static func faultsChanged(_ core: SimulatorCore) -> Outcome {
        .faultsChanged(SimulatorReply(status: 200, json: core.faults.json.text))
    }

    private static func log(
        _ request: SimulatorRequest,
        _ core: SimulatorCore,
        _ form: LogRendering.Form
    ) -> Outcome {
        let since = request.queryValue("since").map { Int($0) ?? -1 } ?? 0
        let limit = request.queryValue("limit").map { Int($0) ?? -1 } ?? Int.max
        guard since >= 0, limit >= 0 else { return .reply(problem(400, "'since' and 'limit' are numbers from 0 on")) }
        return .log(core.log.entries(since: since, limit: limit), dropped: core.log.droppedCount, form: form)
    }

    private static func contact(_ path: String, _ core: SimulatorCore) -> SimulatorReply {
        let parts = path.split(separator: "/")
        guard parts.count == 3, let reference = ContactReference(audience: parts[1], contact: parts[2]) else {
            return problem(400, "/contacts/{audience}/{contact} takes two UUIDs")
        }
        guard let contact = core.state.audiences[reference.audience]?[reference.contact] else {
            return problem(404, "there is no such contact")
        }
        var writer = JSONWriter()
        contact.write(to: &writer, linkBase: nil)
        return SimulatorReply(status: 200, json: writer.bytes)
    }
}
