import DexatelAPI
import Foundation
import Logging
import NIOCore
import TestSupport
import Testing

@testable import Outbox

/// A running outbox over a state directory and a scripted upstream.
final class OutboxRig: Sendable {
    let outbox: Outbox
    let sink = CollectingSink()
    private let runner: Task<Void, Never>

    init(
        _ directory: TemporaryDirectory,
        _ transport: ScriptedTransport,
        backoffMilliseconds: Int64 = 1,
        time: RelayClock.Source = .host,
        logger: Logger = OutboxRig.logger,
        _ change: (inout OutboxConfiguration) -> Void = { _ in }
    ) throws {
        let outbox = try Outbox.open(
            Self.configuration(directory, change),
            transport: transport,
            backoffMilliseconds: { _ in backoffMilliseconds },
            time: time,
            logger: logger
        )
        self.outbox = outbox
        runner = Task { await outbox.run() }
    }

    static var logger: Logger { Logger(label: "outbox-tests") { _ in SwiftLogNoOpLogHandler() } }

    static func configuration(
        _ directory: TemporaryDirectory,
        _ change: (inout OutboxConfiguration) -> Void = { _ in }
    ) -> OutboxConfiguration {
        var configuration = OutboxConfiguration(stateDirectory: directory.path)
        configuration.minFreeDiskBytes = 0
        change(&configuration)
        return configuration
    }

    @discardableResult
    func submit(
        _ token: UInt64,
        _ contact: Int,
        key: String = "api-key",
        method: WriteMethod = .put,
        wait: Int64 = 60_000,
        body: String = "{}",
        idempotencyKey: String? = nil
    ) -> OutboxUnavailability? {
        outbox.submit(
            write(token, contact, key: key, method: method, wait: wait, body: body, idempotencyKey: idempotencyKey)
        )
    }

    func write(
        _ token: UInt64,
        _ contact: Int,
        key: String = "api-key",
        method: WriteMethod = .put,
        wait: Int64 = 0,
        body: String = "{}",
        idempotencyKey: String? = nil
    ) -> NewWrite {
        NewWrite(
            contact: Sample.contact(contact),
            method: method,
            // No query: a write with one takes no part in superseding.
            payload: Sample.payload(body, target: Sample.contact(contact).path),
            key: outbox.keys.key(for: Secret(key)),
            replyWaitMilliseconds: wait,
            idempotencyKey: idempotencyKey,
            sink: sink,
            token: token
        )
    }

    /// The one answer to a write, once it is there.
    func answer(_ token: UInt64) async throws -> WriteAnswer {
        try await eventually("an answer to \(token)") { !self.sink.answers(to: token).isEmpty }
        return sink.answers(to: token)[0]
    }

    func receipt(_ token: UInt64, key: String = "api-key") async throws -> Receipt? {
        guard let id = try await answer(token).writeID else { return nil }
        return try await outbox.receipt(id, for: outbox.keys.key(for: Secret(key)))
    }

    /// Waits until a write has ended or is where the test wants it.
    func waitFor(_ token: UInt64, _ state: WriteState) async throws {
        try await eventually("\(token) to be \(state)") { try await self.receipt(token)?.state == state }
    }

    /// Submits a write that does not wait, and its name once it is committed.
    @discardableResult
    func accept(
        _ token: UInt64,
        _ contact: Int,
        key: String = "api-key",
        method: WriteMethod = .put,
        body: String = "{}"
    ) async throws -> WriteID {
        submit(token, contact, key: key, method: method, wait: 0, body: body)
        return try #require(try await answer(token).writeID)
    }

    /// The books, once they are as the test wants them.
    @discardableResult
    func counts(_ what: String, _ condition: (WriteCounts) -> Bool) async throws -> WriteCounts {
        try await eventually(what) { condition(self.outbox.committedCounts) }
        return outbox.committedCounts
    }

    func state(_ id: WriteID) async throws -> WriteState? { try await outbox.show(id)?.entry.receipt.state }

    /// Waits until a write is where the test wants it.
    func waitFor(_ id: WriteID, _ state: WriteState) async throws {
        try await eventually("\(id.sequence) to be \(state)") { try await self.state(id) == state }
    }

    /// What is wrong with the database, everything counted again.
    func findings() async throws -> [String] { try await outbox.check() }

    func stop() async {
        outbox.stop()
        await runner.value
        await outbox.close()
    }
}

extension Outbox {
    /// Takes a write as the server does, but by itself: without the others of a turn of its event loop.
    func submit(_ write: NewWrite) -> OutboxUnavailability? {
        if let reason = admit(write) { return reason }
        submitAdmitted([write])
        return nil
    }
}
