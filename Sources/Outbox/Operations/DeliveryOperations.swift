/// Pauses deliveries, or has them go on; kept over restarts.
struct PauseDeliveries: CommitOperation {
    let pause: DeliveryPause
    let engine: DeliveryEngine
    let done: @Sendable (Result<Void, OutboxError>) -> Void

    func run(_ desk: inout CommitDesk) throws -> () -> Void {
        // The brake stays on until deliveries are to go on, whatever else pauses them.
        let pause = pause == .operator && engine.pause == .deaths ? .deaths : pause
        desk.ledger.pause(pause)
        desk.news.isResumed = pause == .none
        return { [self] in
            engine.setPaused(pause)
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
    /// Whether deliveries are paused, by an operator or the brake.
    package var isPaused: Bool { engine.pause != .none }

    /// Sends nothing more, over restarts too, until `resume`; writes go on being accepted.
    package func pause() async throws {
        try await perform { [engine] in PauseDeliveries(pause: .operator, engine: engine, done: $0) }
    }

    /// Has deliveries go on.
    package func resume() async throws {
        try await perform { [engine] in PauseDeliveries(pause: .none, engine: engine, done: $0) }
    }

    /// Lets whatever waits for a time go now: backoffs, `Retry-After`, the pauses of keys and of the upstream.
    ///
    /// What is held stays so.
    package func flush() async throws {
        try await perform { FlushDeliveries(done: $0) }
    }
}
