import AdminAPI
import Foundation
import Glibc
import NIOHTTP1
import TestSupport
import Testing

extension ProcessTests {
    /// SIGHUP (design §7).
    @Suite struct ReloadTests {
        @Test("a reload under load takes another upstream and other limits, and fails no request")
        func underLoad() async throws {
            try await withSandbox { sandbox in
                let first = try await SimulatorProcess(in: sandbox)
                let second = try await SimulatorProcess(in: sandbox)
                let file = ConfigurationUnderTest(in: sandbox)
                try file.write(["upstream.url": first.url])
                let relay = try await file.start()
                let load = RequestLoad(["http://127.0.0.1:\(relay.port)"])
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for client in 0..<6 { group.addTask { await load.run(client) } }
                    for upstream in [second, first, second] {
                        let before = load.answered
                        try await eventually("load") { load.answered > before + 100 }
                        try file.write([
                            "upstream.url": upstream.url, "upstream.max_connections": "\(16 + before % 16)",
                        ])
                        relay.process.signal(SIGHUP)
                        try await eventually("the new upstream") {
                            try await relay.status().upstream.url == upstream.url
                        }
                        let logged = try await upstream.log().count
                        try await eventually("requests there") { try await upstream.log().count > logged }
                    }
                    load.stop()
                    try await group.waitForAll()
                }
                #expect(load.failures == [])
                // The old upstream's connections go with their last request.
                try await eventually("the end of the old connections") { try await first.openConnections() == 0 }
                try await eventually("all delivered") { try await relay.status().outbox.pending == 0 }
                let old = try await first.log().count
                #expect(try await relay.put("Grace").status == 200)
                #expect(try await first.log().count == old)
                #expect(try await relay.stop() == .exited(0))
            }
        }

        @Test("limits, lengths and the level of the log change for connections that are open")
        func limits() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let file = ConfigurationUnderTest(in: sandbox)
                try file.write(["upstream.url": simulator.url])
                let relay = try await file.start()
                #expect(try await relay.put("Ada").status == 200)
                try file.write([
                    "upstream.url": simulator.url, "writes.limits.first_name": "4", "writes.max_pending": "1",
                    "log.level": "debug",
                ])
                try await file.reload(relay)
                #expect(try await relay.put("Augusta").status == 400)
                try await simulator.goDown()
                #expect(try await relay.put("Ada", prefer: "respond-async").status == 202)
                #expect(try await relay.put("Eve", prefer: "respond-async").status == 503)
                try await eventually("a line at debug") { relay.process.output.contains(" debug ") }
                #expect(
                    relay.process.output.contains(#"changed="writes.max_pending, writes.limits.first_name, log.level""#)
                )
                try await simulator.goUp()
            }
        }

        @Test("a bad file keeps the old configuration, and the log, the status and systemd hear why")
        func badFile() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let file = ConfigurationUnderTest(in: sandbox)
                let socket = try NotifySocket(in: sandbox)
                try file.write(["upstream.url": simulator.url])
                let relay = try await file.start(["NOTIFY_SOCKET": socket.path])
                try file.write(["upstream.url": "http://127.0.0.1:1", "writes.reply_wait": "soon"])
                relay.process.signal(SIGHUP)
                try await eventually("the problem") { try await relay.status().configuration?.problem != nil }
                let status = try await relay.status()
                #expect(status.configuration?.problem?.contains("writes.reply_wait") == true)
                #expect(status.configuration?.failedAt != nil)
                #expect(status.upstream.url == simulator.url)
                #expect(try await relay.put().status == 200)
                try await eventually("the line") {
                    relay.process.output.contains(" error the configuration cannot be reloaded")
                }
                try await eventually("a status in words") {
                    socket.received().contains { $0.hasPrefix("STATUS=RELOAD FAILED") && $0.contains("reply_wait") }
                }

                try file.write(["upstream.url": simulator.url])
                try await file.reload(relay)
                #expect(try await relay.status().configuration?.problem == nil)
                #expect(try await relay.stop() == .exited(0))
            }
        }

        @Test("what cannot change while the daemon runs is named, and stays")
        func needsRestart() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let file = ConfigurationUnderTest(in: sandbox)
                try file.write(["upstream.url": simulator.url])
                let relay = try await file.start()
                try file.write(["upstream.url": simulator.url, "listen.port": "1", "reads.disk": "0"])
                try await file.reload(relay)
                #expect(try await relay.status().configuration?.needsRestart == ["listen.port", "reads.disk"])
                try await eventually("the line") {
                    relay.process.output.contains(#"keys="listen.port, reads.disk""#)
                }
                #expect(try await relay.put().status == 200)
            }
        }

        @Test("systemd hears of a reload as it begins and as it ends")
        func notifications() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let file = ConfigurationUnderTest(in: sandbox)
                let socket = try NotifySocket(in: sandbox)
                try file.write(["upstream.url": simulator.url])
                let relay = try await file.start(["NOTIFY_SOCKET": socket.path])
                try await eventually("READY=1") { socket.received().contains("READY=1") }
                try await file.reload(relay)
                try await eventually("both") { socket.received().filter { $0 == "READY=1" }.count == 2 }
                let lines = socket.received()
                let begin = try #require(lines.firstIndex(of: "RELOADING=1"))
                #expect(lines[begin + 1].hasPrefix("MONOTONIC_USEC="))
                #expect(begin > (lines.firstIndex(of: "READY=1") ?? 0))
                #expect(begin < (lines.lastIndex(of: "READY=1") ?? 0))
            }
        }
    }
}

/// A configuration file that a test changes while a daemon runs.
private struct ConfigurationUnderTest {
    private let sandbox: Sandbox
    private let path: String

    init(in sandbox: Sandbox) {
        self.sandbox = sandbox
        path = sandbox.folder + "/relay.yaml"
    }

    func write(_ settings: [String: String]) throws {
        var all = [
            "listen.port": "0", "writes.retry.initial": "20ms", "writes.retry.max": "200ms",
            "writes.reply_wait": "20s", "state.directory": sandbox.stateDirectory,
        ]
        all.merge(settings) { $1 }
        // A section may not be given twice: the flow style nests each key by itself.
        let text = Dictionary(grouping: all) { $0.key.prefix { $0 != "." } }.map { section, members in
            var lines = ["\(section):"]
            var nested: [String: [String]] = [:]
            for (key, value) in members {
                let parts = key.split(separator: ".").dropFirst()
                if parts.count == 1 {
                    lines.append("  \(parts.first ?? ""): \"\(value)\"")
                } else {
                    nested[String(parts.first ?? ""), default: []].append("    \(parts.last ?? ""): \"\(value)\"")
                }
            }
            for (name, members) in nested { lines += ["  \(name):"] + members }
            return lines.joined(separator: "\n")
        }.joined(separator: "\n")
        try text.write(toFile: path, atomically: true, encoding: .utf8)
    }

    func start(_ environment: [String: String] = [:]) async throws -> RelayProcess {
        let process = sandbox.spawn("contact-relay", ["serve", "--config", path], environment: environment)
        return try await RelayProcess(process)
    }

    /// Has the daemon read the file again, and waits until it has.
    func reload(_ relay: RelayProcess) async throws {
        let words = "the configuration was reloaded"
        let before = relay.process.output.components(separatedBy: words).count
        relay.process.signal(SIGHUP)
        try await eventually("a reload") { relay.process.output.components(separatedBy: words).count > before }
        try await eventually("its status") { try await relay.status().configuration?.problem == nil }
    }
}
