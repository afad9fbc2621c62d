import AsyncHTTPClient
import NIOCore

/// The connections that were made under one configuration; they end with the last request that uses them.
final class ConnectionGeneration: Sendable {
    let configuration: UpstreamConfiguration
    let client: HTTPClient
    private let slots: ConnectionSlots

    init(_ configuration: UpstreamConfiguration, _ client: HTTPClient) {
        self.configuration = configuration
        self.client = client
        slots = ConnectionSlots(count: configuration.maxConnections, maxWaiters: configuration.maxWaitingRequests)
    }

    deinit {
        // The only error is that `UpstreamClient.shutdown` was quicker.
        Task { [client] in try? await client.shutdown() }
    }

    /// Waits for a place; it keeps this generation's connections open until it is released.
    func acquireSlot(until deadline: ContinuousClock.Instant) async throws(UpstreamFailure) -> ConnectionSlots.Slot {
        let slot = try await slots.acquire(until: deadline)
        slot.keep(self)
        return slot
    }

    /// Sends a request and waits for the head of its reply.
    func execute(_ request: HTTPClientRequest, deadline: NIODeadline) async throws(UpstreamFailure)
        -> HTTPClientResponse
    {
        do {
            return try await client.execute(request, deadline: deadline)
        } catch {
            throw UpstreamFailure(cause: error, from: configuration.url)
        }
    }
}

/// The connections that new requests take, and those of older configurations that have requests under way.
struct ConnectionGenerations: Sendable {
    private struct Retired: Sendable { weak var generation: ConnectionGeneration? }

    private(set) var current: ConnectionGeneration
    private var retired: [Retired] = []

    init(_ first: ConnectionGeneration) { current = first }

    mutating func replace(by next: ConnectionGeneration) {
        retired.removeAll { $0.generation == nil }
        retired.append(Retired(generation: current))
        current = next
    }

    /// Everything that may have open connections.
    var clients: [HTTPClient] { [current.client] + retired.compactMap { $0.generation?.client } }
}
