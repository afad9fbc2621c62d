import HTTPClient
import NIOCore
import NIOHTTP1

@testable import dexatel_simulator

/// A simulator in this process, on free ports, and a client for both.
struct RunningSimulator {
    let server: SimulatorServer
    private let apiClient: OriginClient
    private let controlClient: OriginClient

    struct Reply {
        let status: Int
        let fields: [String: String]
        let body: [UInt8]
        var json: JSONValue? { JSONValue(parsing: body) }
    }

    /// Runs `body` beside a simulator and ends that afterwards, whatever happens.
    static func with<Result>(
        _ settings: SimulatorSettings = Samples.settings(),
        _ body: (RunningSimulator) async throws -> Result
    ) async throws -> Result {
        let server = try await SimulatorServer.start(SimulatorOptions(settings: settings))
        let simulator = RunningSimulator(
            server: server,
            apiClient: Self.client(port: server.api.port),
            controlClient: Self.client(port: server.control.port)
        )
        do {
            let result = try await body(simulator)
            try await simulator.stop()
            return result
        } catch {
            try? await simulator.stop()
            throw error
        }
    }

    private static func client(port: Int) -> OriginClient {
        OriginClient(
            OriginConfiguration(endpoint: .host("127.0.0.1", port: port), authority: "127.0.0.1:\(port)")
        )
    }

    private func stop() async throws {
        await apiClient.shutdown()
        await controlClient.shutdown()
        try await server.stop()
    }

    /// A request to the API.
    func api(_ method: String, _ path: String, _ body: String = "") async throws -> Reply {
        try await send(apiClient, method, path, body)
    }

    /// A control call.
    func control(_ method: String, _ path: String, _ body: String = "") async throws -> Reply {
        try await send(controlClient, method, path, body)
    }

    /// Returns when so many requests have been decided.
    func awaitRequests(_ count: Int) async throws {
        while true {
            guard let total = try await control("GET", "/counts").json?["total"]?.integer else { return }
            if total >= count { return }
            await Task.yield()
        }
    }

    private func send(_ client: OriginClient, _ method: String, _ path: String, _ body: String) async throws -> Reply {
        var request = OutboundRequest(method: method, target: path, headers: ["X-Dexatel-Key": "key-1"])
        if !body.isEmpty {
            request.headers.add(name: "Content-Type", value: "application/json")
            request.body = .whole(ByteBuffer(string: body))
        }
        let reply = try await client.send(request, timeout: .seconds(30), maxReplyBytes: 16_777_216).get()
        return Reply(
            status: reply.head.status,
            fields: Dictionary(reply.head.headers.map { ($0.name.lowercased(), $0.value) }) { first, _ in first },
            body: Array(reply.body.readableBytesView)
        )
    }
}
