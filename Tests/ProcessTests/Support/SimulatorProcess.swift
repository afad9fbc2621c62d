import Foundation
import NIOCore
import NIOHTTP1
import TestSupport

/// A running `dexatel-simulator`.
struct SimulatorProcess: Sendable {
    let process: ChildProcess
    /// The API's base URL.
    let url: String
    private let control: String

    /// Starts one with the seed's contact in it, and waits until both ports are bound.
    init(in sandbox: Sandbox, flags: [String] = []) async throws {
        let process = sandbox.spawn(
            "dexatel-simulator",
            ["--port", "0", "--control-port", "0", "--seed-contacts", "1"] + flags
        )
        try await eventually("the simulator's first line") { process.output.contains("\n") || process.ending != nil }
        let words = process.output.split { $0 == " " || $0.isNewline }
        guard let api = words.first(where: { $0.hasPrefix("api=") }),
            let control = words.first(where: { $0.hasPrefix("control=") })
        else { throw DeadlinePassed(description: "the simulator did not start: \(process.output)") }
        self.process = process
        url = String(api.dropFirst("api=".count))
        self.control = String(control.dropFirst("control=".count))
    }

    /// Changes faults; it returns when they are in effect.
    func setFaults(_ json: String) async throws {
        let answer = try await Exchange.send(.PUT, control + "/faults", body: json)
        guard answer.status == 200 else { throw DeadlinePassed(description: "faults \(json): \(answer.text)") }
    }

    func goDown() async throws { try await setFaults(#"{"mode":"down"}"#) }

    func goUp() async throws { try await setFaults(#"{"mode":"up"}"#) }

    func clearFaults() async throws { _ = try await Exchange.send(.DELETE, control + "/faults") }

    /// All requests so far, in the order in which they were decided.
    func log() async throws -> [LogEntry] { try await log(since: 0, limit: 1_000_000) }

    /// The requests behind one, in the order in which they were decided.
    func log(since number: Int, limit: Int) async throws -> [LogEntry] {
        let target = "/log?since=\(number)&limit=\(limit)"
        return try await Exchange.send(.GET, control + target, timeout: .seconds(60)).decoded([LogEntry].self)
    }

    /// How many connections to the API are open.
    func openConnections() async throws -> Int {
        struct Counts: Decodable {
            struct Connections: Decodable { var open: Int }
            var connections: Connections
        }
        return try await Exchange.send(.GET, control + "/counts").decoded(Counts.self).connections.open
    }

    /// What the writes that took effect on a contact set `first_name` to, in order.
    func applied(_ contact: String = Samples.contact) async throws -> [String?] {
        try await log().filter { $0.applied && $0.contact == contact }.map(\.firstName)
    }

    /// Sends a request past the relay.
    func send(
        _ method: HTTPMethod,
        _ target: String = Samples.target,
        key: String = Samples.key,
        body: String? = nil
    ) async throws -> Answer {
        try await Exchange.send(method, url + target, headers: Samples.headers(key), body: body)
    }
}
