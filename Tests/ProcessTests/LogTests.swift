import Foundation
import Glibc
import NIOHTTP1
import TestSupport
import Testing

extension ProcessTests {
    /// The log is told what happens; it never decides what happens.
    @Suite struct LogTests {
        /// A relay whose standard error is made by a line of a shell, and its port.
        private func relay(
            _ sandbox: Sandbox,
            _ simulator: SimulatorProcess,
            _ script: String
        ) async throws -> (process: ChildProcess, port: Int) {
            let port = try freePort()
            let settings = ["listen.port": "\(port)", "writes.retry.max": "50ms"]
            let arguments = RelayProcess.arguments(in: sandbox, upstream: simulator.url, settings)
            let process = sandbox.spawn("bash", ["-c", script, "contact-relay"] + arguments)
            try await ready(port)
            return (process, port)
        }

        private func ready(_ port: Int) async throws {
            try await eventually("readiness") {
                (try? await Exchange.send(.GET, "http://127.0.0.1:\(port)/_relay/ready").status) == 200
            }
        }

        private func freePort() throws -> Int {
            let descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
            defer { close(descriptor) }
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
            var length = socklen_t(MemoryLayout<sockaddr_in>.size)
            let result = withUnsafeMutableBytes(of: &address) { bytes in
                let pointer = bytes.baseAddress?.assumingMemoryBound(to: sockaddr.self)
                return bind(descriptor, pointer, length) == 0 && getsockname(descriptor, pointer, &length) == 0
            }
            try #require(result)
            return Int(UInt16(bigEndian: address.sin_port))
        }

        /// Has lines logged: a reload, and a write that is refused after its 202.
        private func makeNews(_ process: ChildProcess, _ simulator: SimulatorProcess, _ port: Int) async throws {
            process.signal(SIGHUP)
            let url = "http://127.0.0.1:\(port)" + Samples.target(Samples.contact)
            let headers = Samples.headers(Samples.key, [("Prefer", "respond-async")])
            let answer = try await Exchange.send(.PUT, url, headers: headers, body: Samples.body("Ada"))
            #expect(answer.status == 202)
        }

        @Test(arguments: ["2> >(exit 0)", "2>/dev/full", "2>&-"])
        func `a log that cannot be written costs its lines and nothing else`(redirection: String) async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let (process, port) = try await relay(sandbox, simulator, #"exec "$0" "$@" "# + redirection)
                for _ in 0..<5 { try await makeNews(process, simulator, port) }
                let url = "http://127.0.0.1:\(port)/_relay/metrics"
                try await eventually("lines that are counted as dropped") {
                    let text = try await Exchange.send(.GET, url).text
                    return text.contains("\ncontact_relay_log_lines_dropped_total ")
                        && !text.contains("\ncontact_relay_log_lines_dropped_total 0\n")
                }
                process.signal(SIGTERM)
                #expect(try await process.waitForEnd() == .exited(0))
                // The descriptor that was closed is nobody else's: no file of the relay holds a line of its log.
                for name in try sandbox.stateFiles() {
                    let bytes = FileManager.default.contents(atPath: sandbox.stateDirectory + "/" + name) ?? Data()
                    #expect(bytes.range(of: Data("notice started".utf8)) == nil, "\(name)")
                }
            }
        }

        @Test func `a reader of the log that is stuck holds up neither requests nor the end`() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                // A pipe that is full, both of whose ends the relay's own process keeps open.
                let script = #"""
                    mkfifo "$FIFO" && exec 9<>"$FIFO" && head -c 65536 /dev/zero >&9 && exec "$0" "$@" 2>&9
                    """#
                let (process, port) = try await relay(
                    sandbox,
                    simulator,
                    "FIFO=\(sandbox.folder)/log; " + script
                )
                for _ in 0..<20 { try await makeNews(process, simulator, port) }
                #expect(try await Exchange.send(.GET, "http://127.0.0.1:\(port)/_relay/live").status == 200)
                process.signal(SIGTERM)
                #expect(try await process.waitForEnd() == .exited(0))
            }
        }

        @Test func `a daemon that cannot start ends although its last words cannot be written`() async throws {
            try await withSandbox { sandbox in
                for redirection in ["2>/dev/full", "2>&-", "9<>log 2>&9"] {
                    let script =
                        "cd \(sandbox.folder) && rm -f log && mkfifo log && exec 8<>log"
                        + " && head -c 65536 /dev/zero >&8 && exec \"$0\" \"$@\" \(redirection)"
                    for arguments in [["--set", "log.level=odd"], ["--set", "state.directory=/dev/null/x"]] {
                        let result = try await sandbox.finish(
                            "bash",
                            ["-c", script, "contact-relay", "serve", "--set", "upstream.url=http://127.0.0.1:9"]
                                + arguments
                        )
                        #expect(result.ending == .exited(arguments[1].hasPrefix("log") ? 78 : 74), "\(redirection)")
                    }
                }
            }
        }

        @Test(arguments: [
            (["--help"], "> /dev/full", 74, true), (["--version"], "> /dev/full", 74, true),
            (["outbox", "list", "--help"], ">&-", 74, true),
            (["--generate-completion-script", "bash"], ">&-", 74, true),
            (["status"], "> /dev/full", 74, true), (["status", "--json"], ">&-", 74, true),
            (["outbox", "list"], "> /dev/full", 74, true), (["outbox", "list", "--json"], ">&-", 74, true),
            (["key", "list"], ">&-", 74, true), (["cache", "stats"], "> /dev/full", 74, true),
            (["check"], "> /dev/full", 74, true), (["check"], "> >(exit 0); wait", 74, false),
            (["status", "--odd"], "2> /dev/full", 64, false), (["status", "--odd"], "2>&-", 64, false),
            (["status"], "2>&-", 0, false),
        ])
        func `a command whose output cannot be written ends with 74 and says why`(
            arguments: [String],
            redirection: String,
            status: Int32,
            isTold: Bool
        ) async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                _ = try await RelayProcess(in: sandbox, upstream: simulator)
                let needsNoDaemon = arguments.contains { $0.hasPrefix("--help") || $0.hasPrefix("--vers") }
                let isAbout = arguments[0] == "check" || arguments[0].hasPrefix("--gen") || needsNoDaemon
                let options = isAbout ? [] : ["--socket", sandbox.stateDirectory + "/admin.sock"]
                let set = arguments[0] == "check" ? ["--set", "upstream.url=http://127.0.0.1:9"] : []
                // The reader that is gone is gone before the command begins.
                let script =
                    redirection.contains("exit 0")
                    ? #"exec 3> >(exit 0); wait $!; exec "$0" "$@" >&3"# : #"exec "$0" "$@" "# + redirection
                let result = try await sandbox.finish(
                    "bash",
                    ["-c", script, "contact-relay"] + arguments + options + set
                )
                #expect(result.ending == .exited(status), "\(result.output)")
                #expect(result.output.contains("cannot write standard output") == isTold, "\(result.output)")
            }
        }

        @Test func `a reader that has enough ends a listing early, without a word`() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let relay = try await RelayProcess(in: sandbox, upstream: simulator)
                for name in ["Ada", "Eve"] { #expect(try await relay.put(name).status == 200) }
                let line = "contact-relay outbox list --all --ids $S | head -n 1; echo ${PIPESTATUS[0]}"
                let operators = Operator(in: sandbox)
                let result = try await sandbox.finish(
                    "bash",
                    ["-c", line],
                    environment: ["S": "--socket=\(operators.socket)"]
                )
                let lines = result.output.split(separator: "\n")
                // What is short is written before the reader goes.
                #expect(lines.count == 2 && ["0", "74"].contains(lines.last), "\(result.output)")
            }
        }
    }
}
