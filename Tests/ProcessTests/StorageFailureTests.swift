import AdminAPI
import Foundation
import Glibc
import NIOHTTP1
import TestSupport
import Testing

extension ProcessTests {
    /// A disk that fails or is full (design §8): strace makes the system calls of the commit thread fail.
    @Suite struct StorageFailureTests {
        /// Writes to ever new contacts, and what became of them.
        private struct Writer {
            let relay: RelayProcess
            var count = 0
            var acknowledged: [Answer] = []
            var refused = 0
            /// What readiness said after a refusal.
            var reasons: Set<String> = []

            init(_ relay: RelayProcess) { self.relay = relay }

            static func contact(_ number: Int) -> String {
                "00000000-0000-4000-8000-" + String(String(1_000_000_000_000 + number).dropFirst())
            }

            /// One write; whether it was acknowledged.
            mutating func write() async throws -> Bool {
                count += 1
                let answer = try await relay.put("w\(count)", to: Self.contact(count), prefer: "respond-async")
                if (200..<300).contains(answer.status) {
                    acknowledged.append(answer)
                    return true
                }
                #expect(answer.status == 503)
                // What was in the transaction is unknown; what comes while the disk is full is not stored.
                let slug = answer.headers["Contact-Relay-Error"]
                #expect(slug == ["outbox_unavailable"] || slug == ["disk_low"])
                #expect(answer.headers["Retry-After"].count == 1)
                refused += 1
                let ready = try await relay.send(.GET, "/_relay/ready")
                if ready.status == 503 { reasons.insert(ready.text) }
                return false
            }

            /// A write that is delivered, and others until one is refused.
            mutating func writeUntilRefused() async throws {
                #expect(try await write())
                try await relay.waitForState("delivered", of: acknowledged[0])
                try await eventually("a refusal") { try await !write() }
            }
        }

        /// A relay some of whose system calls fail, with a simulator that takes every write.
        private func withFaults(
            _ calls: String,
            _ error: String,
            _ body: (Sandbox, SimulatorProcess, SystemCallFaults, RelayProcess) async throws -> Void
        ) async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox, flags: ["--create-on-put"])
                let faults = SystemCallFaults(calls, error, in: sandbox)
                let relay = try await RelayProcess(in: sandbox, upstream: simulator, faults: faults)
                try await body(sandbox, simulator, faults, relay)
            }
        }

        private static func expectReads(_ writer: Writer) async throws {
            let relay = writer.relay
            #expect(try await relay.send(.GET, "/_relay/live").status == 200)
            #expect(try await relay.send(.GET, "/_relay/status").status == 200)
            let contact = try await relay.send(.GET, Samples.target, headers: ["X-Dexatel-Key": Samples.key])
            #expect(contact.status == 200)
        }

        /// Every acknowledged write has a receipt in a daemon that starts from what is on the disk, and is delivered.
        private static func expectKept(
            _ writer: Writer,
            in sandbox: Sandbox,
            _ simulator: SimulatorProcess
        ) async throws {
            let relay = try await RelayProcess(in: sandbox, upstream: simulator)
            for answer in writer.acknowledged { try await relay.waitForState("delivered", of: answer) }
            try await eventually("an empty queue") { try await relay.status().outbox.pending == 0 }
            let books = try await relay.status().outbox
            #expect(CrashAudit.imbalance(books) == nil)
            #expect(books.accepted >= Int64(writer.acknowledged.count))
            #expect(books.accepted <= Int64(writer.count))
            #expect(books.accepted == books.delivered)
            let sent = Set(try await simulator.log().filter(\.applied).compactMap(\.firstName))
            #expect(Int64(sent.count) == books.delivered)
        }

        @Test("While no fsync succeeds no write is acknowledged, reads go on, and readiness says why")
        func brokenDisk() async throws {
            try await withFaults("fdatasync,fsync", "EIO:when=10+") { sandbox, simulator, faults, relay in
                var writer = Writer(relay)
                try await writer.writeUntilRefused()
                let acknowledged = writer.acknowledged.count
                // Reopened or not: what cannot be synced is not acknowledged.
                try await eventually("more failures") {
                    _ = try await writer.write()
                    return faults.injected() >= 6
                }
                #expect(writer.acknowledged.count == acknowledged)
                #expect(writer.reasons.contains { $0.contains("disk I/O error") })
                try await Self.expectReads(writer)
                try await relay.kill()
                try await Self.expectKept(writer, in: sandbox, simulator)
            }
        }

        @Test("Receipts can be read while the outbox is closed after a failure")
        func receiptsGoOn() async throws {
            try await withFaults("fdatasync,fsync", "EIO:when=10+") { _, _, _, relay in
                var writer = Writer(relay)
                try await writer.writeUntilRefused()
                let receipt = try await relay.receiptAnswer(#require(writer.acknowledged[0].write))
                #expect(receipt.status == 200, "\(receipt.text)")
            }
        }

        @Test("What no fsync has made durable is not sent upstream, even after the database has been reopened")
        func nothingUnsyncedIsSent() async throws {
            try await withFaults("fdatasync,fsync", "EIO:when=10+") { _, simulator, faults, relay in
                var writer = Writer(relay)
                try await eventually("failures") {
                    _ = try await writer.write()
                    return faults.injected() >= 6
                }
                let sent = Set(try await simulator.log().compactMap(\.firstName))
                let durable = Set((1...writer.acknowledged.count).map { "w\($0)" })
                #expect(sent.subtracting(durable) == [])
            }
        }

        @Test(
            "When the disk works again the outbox is reopened, verified, and takes writes, without a restart",
            arguments: [
                ("fdatasync,fsync", "EIO:when=10..13", "disk I/O error", "the outbox has been reopened and verified"),
                // More than the room that is kept for it can help.
                ("pwrite64", "ENOSPC:when=200..203", "disk is full", "the outbox has been reopened and verified"),
                ("pwrite64", "EIO:when=200..203", "disk I/O error", "the outbox has been reopened and verified"),
            ]
        )
        func recovers(calls: String, error: String, reason: String, line: String) async throws {
            try await withFaults(calls, error) { sandbox, simulator, faults, relay in
                var writer = Writer(relay)
                try await writer.writeUntilRefused()
                try await Self.expectReads(writer)
                try await eventually("the end of the faults") {
                    let isAcknowledged = try await writer.write()
                    return isAcknowledged && faults.injected() == 4
                }
                #expect(writer.reasons.contains { $0.contains(reason) })
                #expect(try await relay.send(.GET, "/_relay/ready").status == 200)
                #expect(relay.process.output.contains(line))
                for answer in writer.acknowledged { try await relay.waitForState("delivered", of: answer) }
                try await relay.kill()
                try await Self.expectKept(writer, in: sandbox, simulator)
            }
        }

        @Test("Below writes.min_free_disk writes get 503 disk_low and reads go on; with room again all is well")
        func diskLow() async throws {
            // A file system that hardly anybody else writes to, so that its free space is the test's to decide.
            var template = Array("/dev/shm/relay-XXXXXX".utf8CString)
            let folder = try #require(mkdtemp(&template).map { String(cString: $0) })
            defer { try? FileManager.default.removeItem(atPath: folder) }
            var statistics = statvfs()
            try #require(statvfs(folder, &statistics) == 0)
            let free = Int(statistics.f_bavail) * Int(statistics.f_frsize)
            let spare = 12 << 20
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let relay = try await RelayProcess(
                    in: sandbox,
                    upstream: simulator,
                    ["state.directory": folder + "/state", "writes.min_free_disk": "\(free - spare)B"]
                )
                let first = try await relay.put()
                #expect(first.status == 200)
                let ballast = open(folder + "/ballast", O_CREAT | O_WRONLY, 0o600)
                try #require(ballast >= 0)
                defer { close(ballast) }
                try #require(posix_fallocate(ballast, 0, spare * 2) == 0)
                var refusal: Answer?
                try await eventually("a refusal") {
                    refusal = try await relay.put("refused", prefer: "respond-async")
                    return refusal?.status != 202
                }
                #expect(refusal?.status == 503)
                #expect(refusal?.headers["Contact-Relay-Error"] == ["disk_low"])
                let ready = try await relay.send(.GET, "/_relay/ready")
                #expect(ready.status == 503)
                #expect(ready.text.contains("bytes are free"))
                #expect(try await relay.status().outbox.state == "disk_low")
                #expect(try await relay.receipt(of: first).state == "delivered")
                let contact = try await relay.send(.GET, Samples.target, headers: ["X-Dexatel-Key": Samples.key])
                #expect(contact.status == 200)
                try #require(ftruncate(ballast, 0) == 0)
                try await eventually("readiness") { try await relay.send(.GET, "/_relay/ready").status == 200 }
                #expect(try await relay.put("Augusta").status == 200)
            }
        }
    }
}
