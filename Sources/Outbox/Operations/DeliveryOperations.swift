/// Pauses deliveries, or has them go on; kept over restarts.
struct PauseDeliveries: CommitOperation {
    let isPaused: Bool
    let engine: DeliveryEngine
    let done: @Sendable (Result<Void, OutboxError>) -> Void

    func run(_ desk: inout CommitDesk) throws -> () -> Void {
        desk.ledger.pause(isPaused)
        return { [self] in
            engine.setPaused(isPaused)
            done(.success(()))
        }
    }

    func failed(_ error: OutboxError) { done(.failure(error)) }
}

/// Lets whatever waits for a time go now.
struct FlushDeliveries: CommitOperation {
    let done: @Sendable (Result<Void, OutboxError>) -> Void

    func run(_ desk: inout CommitDesk) throws -> () -> Void {
        desk.news.isFlushed = true
        return { [done] in done(.success(())) }
    }

    func failed(_ error: OutboxError) { done(.failure(error)) }
}

/// What operators do with deliveries as a whole (design §2.2).
extension Outbox {
    /// Whether an operator has paused deliveries.
    package var isPaused: Bool { engine.isPaused }

    /// Sends nothing more, over restarts too, until `resume`; writes go on being accepted.
    package func pause() async throws {
        try await perform { [engine] in PauseDeliveries(isPaused: true, engine: engine, done: $0) }
    }

    /// Has deliveries go on.
    package func resume() async throws {
        try await perform { [engine] in PauseDeliveries(isPaused: false, engine: engine, done: $0) }
    }

    /// Lets whatever waits for a time go now: backoffs, `Retry-After`, the pauses of keys and of the upstream.
    ///
    /// What is held stays so.
    package func flush() async throws {
        try await perform { FlushDeliveries(done: $0) }
    }
}
