import Foundation
import Glibc
import NIOHTTP1
import TestSupport
import Testing

extension ProcessTests {
    /// The relay's own key, and who is admitted to it (design §2.3).
    @Suite struct AdmissionTests {
        private static let token = "planted-token-of-some-length"
        private static let body = Samples.body("Ada")

        /// A credentials directory as systemd makes one, with the key that the simulator knows.
        private static func credentials(in sandbox: Sandbox, _ contents: [String: String]) throws -> [String: String] {
            let directory = sandbox.folder + "/credentials"
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: false)
            for (name, text) in contents {
                try text.write(toFile: directory + "/" + name, atomically: false, encoding: .utf8)
            }
            return ["CREDENTIALS_DIRECTORY": directory]
        }

        @Test("Apps without a key read, write and pass through with the relay's own, if they show the token")
        func token() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox, flags: ["--known-key", Samples.key])
                let environment = try Self.credentials(
                    in: sandbox,
                    ["dexatel-api-key": Samples.key + "\n", "listen-token": Self.token + "\n"]
                )
                let settings = ["log.level": "trace"]
                let relay = try await RelayProcess(in: sandbox, upstream: simulator, settings, environment: environment)
                let headers: HTTPHeaders = [
                    "Authorization": "Bearer \(Self.token)", "Content-Type": "application/json",
                ]
                #expect(try await relay.send(.GET, Samples.target, headers: headers).status == 200)
                let written = try await relay.send(.PUT, Samples.target, headers: headers, body: Self.body)
                #expect(written.status == 200)
                // The upstream does not know this method here, but it knows the key.
                let passed = try await relay.send(.POST, Samples.target, headers: headers, body: "{}")
                #expect(passed.status != 401 && passed.headers.first(name: "Contact-Relay-Error") == nil)
                let receipt = "/_relay/writes/" + (written.write ?? "")
                #expect(try await relay.send(.GET, receipt, headers: headers).status == 200)

                for (refused, status, slug) in [
                    ([:], 401, "token_missing"), (["Authorization": "Bearer \(Self.token)x"], 401, "token_refused"),
                    (["Authorization": "Bearer \(Self.token)", "X-Dexatel-Key": "mine"], 403, "key_not_accepted"),
                    (["X-Dexatel-Key": Samples.key], 401, "token_missing"),
                ] as [(HTTPHeaders, Int, String)] {
                    for (method, target) in [
                        (.GET, Samples.target), (.PUT, Samples.target), (.POST, "/v1/messages"), (.GET, receipt),
                        (.GET, "/_relay/status"),
                    ] as [(HTTPMethod, String)] {
                        let answer = try await relay.send(method, target, headers: refused)
                        #expect(answer.status == status, "\(method) \(target)")
                        #expect(answer.headers.first(name: "Contact-Relay-Error") == slug, "\(method) \(target)")
                        #expect(!answer.text.contains(Self.token) && !answer.text.contains("mine"))
                    }
                }
                #expect(try await simulator.applied() == ["Ada"])

                try await simulator.goDown()
                #expect(try await relay.send(.DELETE, Samples.target, headers: headers).status == 202)
                try Self.expectNowhere([Self.token, Samples.key], sandbox)
                try await simulator.goUp()
                #expect(try await relay.stop() == .exited(0))
                try Self.expectNowhere([Self.token, Samples.key], sandbox)

                let arguments = RelayProcess.arguments(of: "check", in: sandbox, upstream: simulator.url)
                let checked = try await sandbox.finish("contact-relay", arguments, environment: environment)
                #expect(checked.ending == .exited(0))
                #expect(checked.output.contains("api_key_file: \"\(sandbox.folder)/credentials/dexatel-api-key\""))
                try Self.expectNowhere([Self.token, Samples.key], sandbox)
            }
        }

        /// P7: in no byte of the state directory and of what the relay says; the simulator was told its key on its command
        /// line, and does not repeat it.
        private static func expectNowhere(_ secrets: [String], _ sandbox: Sandbox) throws {
            let files = try sandbox.stateFiles()
            #expect(files.contains("outbox.sqlite"))
            for secret in secrets {
                for name in files {
                    let contents = FileManager.default.contents(atPath: sandbox.stateDirectory + "/" + name)
                    #expect(contents?.range(of: Data(secret.utf8)) == nil, "\(name)")
                }
                for output in sandbox.outputs { #expect(Data(output).range(of: Data(secret.utf8)) == nil) }
            }
        }

        @Test("curl by the Unix socket: allowed users need neither key nor token, others get nothing")
        func unixSocket() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox, flags: ["--known-key", Samples.key])
                let environment = try Self.credentials(in: sandbox, ["dexatel-api-key": Samples.key])
                // Others must get as far as the socket.
                chmod(sandbox.folder, 0o711)
                let socket = sandbox.folder + "/apps.sock"
                let settings = [
                    "listen.address": "", "listen.unix_socket": socket, "listen.allowed_uids": "\(getuid())",
                ]
                let arguments = RelayProcess.arguments(in: sandbox, upstream: simulator.url, settings)
                let relay = sandbox.spawn("contact-relay", arguments, environment: environment)
                let curl = ["-sS", "--max-time", "20", "-o", "-", "-w", "\n%{http_code}", "--unix-socket", socket]
                let target = "http://api.dexatel.com" + Samples.target
                try await eventually("readiness") {
                    let ready = try await sandbox.finish("curl", curl + ["http://localhost/_relay/ready"])
                    return ready.output.hasSuffix("\n200") || relay.ending != nil
                }
                #expect(relay.ending == nil)

                let put = ["-X", "PUT", "-H", "Content-Type: application/json", "-d", Self.body, target]
                #expect(try await sandbox.finish("curl", curl + put).output.hasSuffix("\n200"))
                let read = try await sandbox.finish("curl", curl + [target])
                #expect(read.output.hasSuffix("\n200") && read.output.contains("Lovelace"))
                let own = try await sandbox.finish("curl", curl + ["-H", "X-Dexatel-Key: mine", target])
                #expect(own.output.hasSuffix("\n403") && own.output.contains("X-Dexatel-Key"))
                let page = try await sandbox.finish("curl", curl + ["-H", "Origin: http://evil.example", target])
                #expect(page.output.hasSuffix("\n403") && page.output.contains("Origin"))

                if getuid() == 0 {
                    let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups", "curl"]
                    let other = try await sandbox.finish("setpriv", nobody + curl + put)
                    #expect(other.output.hasSuffix("\n403") && other.output.contains("listen.allowed_uids"))
                    let shown = try await sandbox.finish("setpriv", nobody + curl + [target])
                    #expect(shown.output.hasSuffix("\n403") && !shown.output.contains("Lovelace"))
                }
                #expect(try await simulator.applied() == ["Ada"])
                relay.signal(SIGTERM)
                #expect(try await relay.waitForEnd() == .exited(0))
            }
        }

        @Test(
            "Without anything that admits its clients a relay with a key of its own does not start",
            arguments: ["serve", "check"]
        )
        func nobodyAdmitted(command: String) async throws {
            try await withSandbox { sandbox in
                let environment = try Self.credentials(in: sandbox, ["dexatel-api-key": "planted-key"])
                for (settings, advice) in [
                    ([:], "listen.token_file"),
                    (["listen.address": "", "listen.unix_socket": sandbox.folder + "/a.sock"], "listen.allowed_uids"),
                    (["listen.token_file": sandbox.folder + "/missing"], "/missing is not there"),
                    (["listen.token_file": sandbox.folder + "/credentials/dexatel-api-key"], "at least 16 letters"),
                ] as [([String: String], String)] {
                    let arguments = RelayProcess.arguments(
                        of: command,
                        in: sandbox,
                        upstream: "http://127.0.0.1:9",
                        settings
                    )
                    let result = try await sandbox.finish("contact-relay", arguments, environment: environment)
                    #expect(result.ending == .exited(78), "\(settings)")
                    #expect(result.output.contains(advice) && !result.output.contains("planted-key"), "\(settings)")
                }
                #expect(!FileManager.default.fileExists(atPath: sandbox.stateDirectory))
            }
        }

        @Test("Browsers' requests for other sites and proxies' for other hosts are refused, over TCP and real sockets")
        func guards() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let relay = try await RelayProcess(
                    in: sandbox,
                    upstream: simulator,
                    ["listen.allowed_hosts": "relay.test"]
                )
                for (field, status, slug) in [
                    ("Host: evil.example", 421, "host_not_allowed"), ("Host: a, b", 400, "host_malformed"),
                    ("Host: localhost\r\nOrigin: http://evil.example", 403, "origin_not_allowed"),
                    ("Host: localhost\r\nX-Forwarded-For: 203.0.113.5", 403, "forwarded_not_allowed"),
                    ("Host: relay.test\r\nOrigin: http://relay.test", 200, nil), ("Host: LOCALHOST:1", 200, nil),
                ] as [(String, Int, String?)] {
                    let connection = try RawConnection(port: relay.port)
                    await connection.send(
                        "GET \(Samples.target) HTTP/1.1\r\n\(field)\r\nX-Dexatel-Key: \(Samples.key)\r\nConnection: close\r\n\r\n"
                    )
                    let answer = await connection.receive()
                    #expect(answer.hasPrefix("HTTP/1.1 \(status) "), "\(field)")
                    if let slug { #expect(answer.contains("Contact-Relay-Error: \(slug)\r\n"), "\(field)") }
                }
                let old = try RawConnection(port: relay.port)
                await old.send("GET /_relay/live HTTP/1.0\r\n\r\n")
                #expect(await old.receive().hasPrefix("HTTP/1.1 200 "))
            }
        }
    }
}
