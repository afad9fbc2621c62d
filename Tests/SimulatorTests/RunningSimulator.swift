import AsyncHTTPClient
import NIOCore
import NIOHTTP1

@testable import dexatel_simulator

/// A simulator in this process, on free ports, and a client for both.
struct RunningSimulator {
    let server: SimulatorServer
    private let client: HTTPClient

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
        var configuration = HTTPClient.Configuration(redirectConfiguration: .disallow)
        configuration.connectionPool.retryConnectionEstablishment = false
        let client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
        do {
            let result = try await body(RunningSimulator(server: server, client: client))
            try await client.shutdown()
            try await server.stop()
            return result
        } catch {
            try? await client.shutdown()
            try? await server.stop()
            throw error
        }
    }

    /// A request to the API.
    func api(_ method: String, _ path: String, _ body: String = "") async throws -> Reply {
        try await send(method, server.api.url + path, body)
    }

    /// A control call.
    func control(_ method: String, _ path: String, _ body: String = "") async throws -> Reply {
        try await send(method, server.control.url + path, body)
    }

    /// Returns when so many requests have been decided.
    func awaitRequests(_ count: Int) async throws {
        while true {
            guard let total = try await control("GET", "/counts").json?["total"]?.integer else { return }
            if total >= count { return }
            await Task.yield()
        }
    }

    private func send(_ method: String, _ url: String, _ body: String) async throws -> Reply {
        var request = HTTPClientRequest(url: url)
        request.method = .RAW(value: method)
        request.headers.add(name: "X-Dexatel-Key", value: "key-1")
        if !body.isEmpty {
            request.headers.add(name: "Content-Type", value: "application/json")
            request.body = .bytes(ByteBuffer(string: body))
        }
        let response = try await client.execute(request, timeout: .seconds(30))
        let bytes = try await response.body.collect(upTo: 16_777_216)
        return Reply(
            status: Int(response.status.code),
            fields: Dictionary(response.headers.map { ($0.name.lowercased(), $0.value) }) { first, _ in first },
            body: Array(bytes.readableBytesView)
        )
    }
}
