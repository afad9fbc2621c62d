import AdminAPI
import Foundation
import Glibc
import NIOHTTP1
import TestSupport

/// A running `contact-relay serve`.
struct RelayProcess: Sendable {
    let process: ChildProcess
    let port: Int

    /// Short pauses between attempts, so that the tests are quick; and patience, so that a machine that stands still for a
    /// while does not turn an answer into a 202.
    private static let defaults = [
        "listen.port": "0", "writes.retry.initial": "20ms", "writes.retry.max": "200ms", "writes.reply_wait": "20s",
    ]

    /// The arguments of `serve`, or of another command on the same state directory.
    static func arguments(
        of command: String = "serve",
        in sandbox: Sandbox,
        upstream: String,
        _ settings: [String: String] = [:]
    ) -> [String] {
        var all = defaults.merging(["state.directory": sandbox.stateDirectory, "upstream.url": upstream]) { $1 }
        all.merge(settings) { $1 }
        return [command] + all.sorted { $0.key < $1.key }.flatMap { ["--set", "\($0.key)=\($0.value)"] }
    }

    /// Starts one on the sandbox's state directory, and waits until it is ready.
    init(
        in sandbox: Sandbox,
        upstream: SimulatorProcess,
        _ settings: [String: String] = [:],
        environment: [String: String] = [:],
        faults: SystemCallFaults? = nil
    ) async throws {
        // The faults are counted by call: those of the outbox are meant, not those of the cache's file.
        let settings = faults == nil ? settings : settings.merging(["reads.disk": "0"]) { $1 }
        let arguments = Self.arguments(in: sandbox, upstream: upstream.url, settings)
        process =
            if let faults {
                sandbox.spawn("strace", faults.arguments + ["contact-relay"] + arguments, environment: environment)
            } else {
                sandbox.spawn("contact-relay", arguments, environment: environment)
            }
        port = try await Self.port(of: process)
        let url = "http://127.0.0.1:\(port)/_relay/ready"
        try await eventually("readiness") { try await Exchange.send(.GET, url).status == 200 }
    }

    /// Waits until a daemon that was started elsewhere is ready.
    init(_ process: ChildProcess) async throws {
        self.process = process
        port = try await Self.port(of: process)
        let url = "http://127.0.0.1:\(port)/_relay/ready"
        try await eventually("readiness") { try await Exchange.send(.GET, url).status == 200 }
    }

    /// The port that a daemon says it listens at.
    static func port(of process: ChildProcess) async throws -> Int {
        var port: Int?
        try await eventually("the relay's port") {
            port = process.output.split(separator: "\n").first { $0.contains(" listening ") }
                .flatMap { $0.split(separator: "port=").last }.flatMap { Int($0) }
            return port != nil || process.ending != nil
        }
        guard let port else { throw DeadlinePassed(description: "the relay did not start: \(process.output)") }
        return port
    }

    private func url(_ target: String) -> String { "http://127.0.0.1:\(port)\(target)" }

    func send(
        _ method: HTTPMethod,
        _ target: String,
        headers: HTTPHeaders = [:],
        body: String? = nil
    ) async throws -> Answer {
        try await Exchange.send(method, url(target), headers: headers, body: body)
    }

    /// The seed's own request, or a variation of it.
    func put(
        _ firstName: String = "Ada",
        to contact: String = Samples.contact,
        key: String = Samples.key,
        prefer: String? = nil
    ) async throws -> Answer {
        let more = prefer.map { [("Prefer", $0)] } ?? []
        return try await send(
            .PUT,
            Samples.target(contact),
            headers: Samples.headers(key, more),
            body: Samples.body(firstName)
        )
    }

    func delete(_ contact: String = Samples.contact, prefer: String? = nil) async throws -> Answer {
        var headers: HTTPHeaders = ["X-Dexatel-Key": Samples.key]
        if let prefer { headers.add(name: "Prefer", value: prefer) }
        return try await send(.DELETE, Samples.target(contact), headers: headers)
    }

    /// The reply to a question for a receipt.
    func receiptAnswer(_ write: String, key: String = Samples.key) async throws -> Answer {
        try await send(.GET, "/_relay/writes/\(write)", headers: ["X-Dexatel-Key": key])
    }

    /// The receipt that an answer points at.
    func receipt(of answer: Answer, key: String = Samples.key) async throws -> Receipt {
        guard let write = answer.write else {
            throw DeadlinePassed(description: "\(answer.status) without a receipt: \(answer.text)")
        }
        return try await receiptAnswer(write, key: key).decoded(Receipt.self)
    }

    /// Waits until a write is in this state.
    func waitForState(_ state: String, of answer: Answer, key: String = Samples.key) async throws {
        var last = "no receipt"
        do {
            try await eventually("a receipt in state \(state)") {
                last = try await receipt(of: answer, key: key).state
                return last == state
            }
        } catch let passed as DeadlinePassed {
            throw DeadlinePassed(description: "\(passed); it was \(last)")
        }
    }

    func status() async throws -> RelayStatus {
        try AdminJSON.decode(RelayStatus.self, from: Data(try await send(.GET, "/_relay/status").body))
    }

    /// A metric without labels, as Prometheus would read it.
    func metric(_ name: String) async throws -> Double {
        let text = try await send(.GET, "/_relay/metrics").text
        let line = text.split(separator: "\n").first { $0.hasPrefix(name + " ") }
        guard let value = line.flatMap({ Double($0.dropFirst(name.count + 1)) }) else {
            throw DeadlinePassed(description: "there is no metric \(name)")
        }
        return value
    }

    /// The memory that the process has in the machine's (`VmRSS`).
    func residentBytes() async throws -> Int {
        let status = try String(contentsOfFile: "/proc/\(try await process.pid())/status", encoding: .utf8)
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
        return (line?.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0) * 1024
    }

    /// Ends it as a power failure would, as far as a process can tell.
    func kill() async throws {
        process.signal(SIGKILL)
        _ = try await process.waitForEnd()
    }

    /// Asks it to stop, as systemd does.
    func stop() async throws -> ChildProcess.Ending {
        process.signal(SIGTERM)
        return try await process.waitForEnd()
    }
}
