import AdminAPI
import Foundation
import NIOHTTP1
import TestSupport
import Testing

extension ProcessTests {
    /// The socket that operators' commands go over (design §2.1).
    @Suite struct AdminSocketTests {
        @Test("The admin socket is for the relay's user and group alone, and says in one form what is wrong")
        func errors() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let relay = try await RelayProcess(in: sandbox, upstream: simulator)
                let operators = Operator(in: sandbox)
                let attributes = try FileManager.default.attributesOfItem(atPath: operators.socket)
                #expect((attributes[.posixPermissions] as? NSNumber)?.intValue == 0o660)

                let contact = #"{"contacts":[{"audience_id":"x","contact_id":"y"}]}"#
                let cases: [(HTTPMethod, String, String?, Int, String)] = [
                    (.GET, "/v1/nothing", nil, 404, "not_found"),
                    (.GET, "/v2/status", nil, 404, "not_found"),
                    (.GET, "/", nil, 404, "not_found"),
                    (.POST, "/v1/status", "{}", 405, "method_not_allowed"),
                    (.DELETE, "/v1/writes/list", nil, 405, "method_not_allowed"),
                    (.GET, "/v1/writes/0000000000000yw7msmf8bz281", nil, 404, "not_found"),
                    (.POST, "/v1/writes/list", "nonsense", 400, "bad_request"),
                    (.POST, "/v1/writes/list", "{}", 400, "bad_request"),
                    (.POST, "/v1/writes/list", #"{"selector":{"states":["odd"]}}"#, 400, "bad_selector"),
                    (.POST, "/v1/writes/list", #"{"selector":{"ids":["odd"]}}"#, 400, "bad_selector"),
                    (.POST, "/v1/contacts/hold", contact, 400, "bad_contact"),
                    (.POST, "/v1/keys/00/replace", #"{"key":"a b"}"#, 400, "bad_key"),
                    (.POST, "/v1/keys/00/replace", #"{"key":"ab"}"#, 404, "unknown_key"),
                    (.POST, "/v1/cache/purge", #"{"path":"v1"}"#, 400, "bad_path"),
                    (.POST, "/v1/writes/import", String(repeating: " ", count: 33 << 20), 413, "body_too_large"),
                ]
                for (method, path, body, status, code) in cases {
                    let answer = try await operators.request(method, path, body: body)
                    #expect(answer.status == status, "\(method) \(path)")
                    #expect(answer.headers["Content-Type"] == ["application/problem+json"])
                    let problem = try answer.decoded(AdminProblem.self)
                    #expect(problem.status == status && problem.code == code && !problem.detail.isEmpty, "\(path)")
                }
                let allowed = try await operators.request(.DELETE, "/v1/writes/list")
                #expect(allowed.headers["Allow"] == ["POST"])
                #expect(try await operators.request(.HEAD, "/v1/status").status == 200)
                #expect(try await relay.status().outbox.accepted == 0)
            }
        }

        @Test("A command to a daemon that does not run ends with status 69, and says where it looked")
        func nobody() async throws {
            try await withSandbox { sandbox in
                let operators = Operator(in: sandbox)
                for command in [
                    ["status"], ["outbox", "list"], ["outbox", "retry", "--all"], ["outbox", "drain"], ["key", "list"],
                    ["cache", "stats"], ["cache", "purge", "/v1"], ["outbox", "export"],
                ] {
                    let result = try await sandbox.finish("contact-relay", command + ["--socket", operators.socket])
                    #expect(result.ending == .exited(69), "\(command)")
                    #expect(result.output.contains(operators.socket))
                }
                #expect(try await operators.run("outbox", "list", "--state", "odd").ending == .exited(64))
                #expect(try await operators.run("outbox", "list", "--older-than", "1 day").ending == .exited(64))
            }
        }

        /// Bodies of every message that has numbers, each number at each of its extremes.
        private static func extremeBodies(_ template: [String: Any]) throws -> [String] {
            let numbers = [
                "-9223372036854775808", "9223372036854775807", "-1", "0", "9223372036854775808", "1e308", "-1e308",
                "1e400", "0.5", "-0.0", "18446744073709551616", "\"1\"", "null", "true", "[]",
            ]
            let text = String(decoding: try JSONSerialization.data(withJSONObject: template), as: UTF8.self)
            let count = text.components(separatedBy: "4242").count - 1
            return (0..<count).flatMap { place in
                numbers.map { number in
                    let parts = text.components(separatedBy: "4242")
                    return parts.dropFirst().enumerated().reduce(parts[0]) { text, part in
                        text + (part.offset == place ? number : "1") + part.element
                    }
                }
            }
        }

        @Test("No number on the admin socket ends the daemon")
        func numbers() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let relay = try await RelayProcess(in: sandbox, upstream: simulator)
                let operators = Operator(in: sandbox)
                #expect(try await relay.put().status == 200)
                let selector = ["older_than_milliseconds": 4242, "status": 4242, "error_code": 4242]
                let page: [String: Any] = ["selector": selector, "after": 4242, "limit": 4242]
                let change: [String: Any] = ["selector": selector, "after": 4242, "force": true]
                let line: [String: Any] = [
                    "version": 4242, "id": "x", "state": "pending", "method": "PUT", "audience_id": Samples.audience,
                    "contact_id": Samples.contact, "target": Samples.target, "headers": [[String]](), "body": "",
                    "accepted_at_milliseconds": 4242, "key_fingerprint": "", "master_key": "",
                ]
                let cases: [(String, [String: Any])] = [
                    ("writes/list", page), ("writes/count", page), ("writes/export", page), ("writes/retry", change),
                    ("writes/release", change), ("writes/discard", change), ("writes/import", ["writes": [line]]),
                ]
                for (path, template) in cases {
                    for body in try Self.extremeBodies(template) {
                        let answer = try await operators.request(.POST, "/v1/\(path)", body: body)
                        #expect([200, 400, 409].contains(answer.status), "\(path) \(body): \(answer.status)")
                    }
                }
                let old = #"{"selector":{"older_than_milliseconds":-1}}"#
                #expect(try await operators.request(.POST, "/v1/writes/list", body: old).status == 400)
                #expect(relay.process.ending == nil)
                #expect(try await relay.status().outbox.accepted == 1)
            }
        }

        @Test("A socket of a daemon that runs is never taken over, and one that a dead daemon has left is replaced")
        func taken() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let apps = sandbox.folder + "/apps.sock"
                let relay = try await RelayProcess(in: sandbox, upstream: simulator, ["listen.unix_socket": apps])
                let operators = Operator(in: sandbox)
                let pid = try await relay.process.pid()
                for setting in [["admin.socket": operators.socket], ["listen.unix_socket": apps]] {
                    let settings = setting.merging(["state.directory": sandbox.folder + "/other"]) { $1 }
                    let arguments = RelayProcess.arguments(in: sandbox, upstream: simulator.url, settings)
                    let other = try await sandbox.finish("contact-relay", arguments)
                    #expect(other.ending == .exited(75), "\(other.output)")
                    #expect(other.output.contains("another daemon listens at"))
                    #expect(try await operators.done("status", "--json").contains("\"pid\" : \(pid)"))
                    let answer = try await sandbox.finish("test", ["-S", apps])
                    #expect(answer.ending == .exited(0))
                }
                try await relay.kill()
                let next = try await RelayProcess(in: sandbox, upstream: simulator, ["listen.unix_socket": apps])
                #expect(try await operators.run("status").ending == .exited(0))
                #expect(try await next.stop() == .exited(0))
                for path in [apps, operators.socket] {
                    #expect(!FileManager.default.fileExists(atPath: path))
                    #expect(!FileManager.default.fileExists(atPath: path + ".lock"))
                }
            }
        }

        @Test("Watching the status goes on, a line at a time, until it is interrupted")
        func watch() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let relay = try await RelayProcess(in: sandbox, upstream: simulator)
                let operators = Operator(in: sandbox)
                let watch = sandbox.spawn(
                    "contact-relay",
                    ["status", "--watch", "--json", "--interval=100ms", "--socket", operators.socket]
                )
                #expect(try await relay.put().status == 200)
                try await eventually("two statuses, the last of which knows of the write") {
                    let output = watch.output
                    let lines = output.split(separator: "\n")
                    let last = lines.dropLast(output.hasSuffix("\n") ? 0 : 1).last
                    let status = try last.map { try AdminJSON.decode(RelayStatus.self, from: Data($0.utf8)) }
                    return lines.count > 1 && status?.outbox.delivered == 1
                }
                #expect(watch.ending == nil)
                watch.signal(2)
                #expect(try await watch.waitForEnd() == .signaled(2))
            }
        }
    }
}
