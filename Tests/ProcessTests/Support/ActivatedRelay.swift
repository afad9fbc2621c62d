import Foundation
import Glibc
import Synchronization
import TestSupport
import Testing

/// Holds listening sockets as systemd does for a socket unit, and starts relays with them, one after the other.
final class ActivatedRelay: Sendable {
    private let sockets: [CInt]
    private let names: String
    private let sandbox: Sandbox
    private let child = Mutex<pid_t?>(nil)
    private let starts = Mutex(0)
    /// The port of the TCP socket.
    let port: Int
    /// The path of the Unix socket.
    let path: String

    init(in sandbox: Sandbox, names: String = "http:http") throws {
        self.sandbox = sandbox
        self.names = names
        let path = sandbox.folder + "/http.sock"
        self.path = path
        var inet = sockaddr_in()
        inet.sin_family = sa_family_t(AF_INET)
        inet.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        let tcp = try Self.listen(AF_INET, &inet)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let got = withUnsafeMutableBytes(of: &inet) {
            getsockname(tcp, $0.baseAddress?.assumingMemoryBound(to: sockaddr.self), &length)
        }
        try #require(got == 0)
        port = Int(UInt16(bigEndian: inet.sin_port))
        var local = sockaddr_un()
        local.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &local.sun_path) { $0.copyBytes(from: path.utf8) }
        sockets = [tcp, try Self.listen(AF_UNIX, &local)]
    }

    deinit {
        if let pid = child.withLock({ $0 }) {
            kill(pid, SIGKILL)
            var status: CInt = 0
            waitpid(pid, &status, 0)
        }
        for socket in sockets { close(socket) }
    }

    private static func listen<Address>(_ family: CInt, _ address: inout Address) throws -> CInt {
        let made = socket(family, CInt(SOCK_STREAM.rawValue), 0)
        // Out of the way of the descriptors that the relay gets.
        let descriptor = fcntl(made, F_DUPFD_CLOEXEC, 100)
        close(made)
        let bound = withUnsafeBytes(of: &address) { bytes in
            bind(
                descriptor,
                bytes.baseAddress?.assumingMemoryBound(to: sockaddr.self),
                socklen_t(MemoryLayout<Address>.size)
            )
        }
        try #require(descriptor >= 100 && bound == 0 && Glibc.listen(descriptor, 4096) == 0)
        return descriptor
    }

    /// What the relays have said so far.
    var output: String { (try? String(contentsOfFile: sandbox.folder + "/activated.log", encoding: .utf8)) ?? "" }

    /// Starts a relay; it gets the sockets as descriptors 3 and 4.
    func start(_ arguments: [String], environment: [String: String] = [:]) throws {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        let log = sandbox.folder + "/activated.log"
        posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        for (index, socket) in sockets.enumerated() {
            posix_spawn_file_actions_adddup2(&actions, socket, 3 + CInt(index))
        }
        var variables = ["PATH": Binaries.folder + ":/usr/bin:/bin", "LISTEN_FDS": "2", "LISTEN_FDNAMES": names]
        variables["LD_LIBRARY_PATH"] = ProcessInfo.processInfo.environment["LD_LIBRARY_PATH"]
        variables.merge(environment) { $1 }
        // The variable names the process itself, which the shell becomes.
        let shell = ["/bin/bash", "-c", #"LISTEN_PID=$$ exec "$0" "$@""#, "contact-relay"] + arguments
        var argv: [UnsafeMutablePointer<CChar>?] = shell.map { strdup($0) } + [nil]
        var envp: [UnsafeMutablePointer<CChar>?] = variables.map { strdup("\($0)=\($1)") } + [nil]
        defer { for string in argv + envp { free(string) } }
        var pid: pid_t = 0
        try #require(posix_spawn(&pid, "/bin/bash", &actions, nil, &argv, &envp) == 0)
        child.withLock { $0 = pid }
        starts.withLock { $0 += 1 }
    }

    /// Waits until the relay that was started last serves.
    func waitUntilStarted() async throws {
        let starts = starts.withLock { $0 }
        try await eventually("start \(starts) of the relay") {
            output.components(separatedBy: " notice started ").count > starts
        }
    }

    /// Asks the relay to stop, and says how it ended.
    func stop(_ signal: CInt = SIGTERM) async throws -> ChildProcess.Ending {
        guard let pid = child.withLock({ $0 }) else { throw DeadlinePassed(description: "no relay was started") }
        kill(pid, signal)
        return try await waitForEnd()
    }

    /// Waits for the relay to end by itself.
    func waitForEnd() async throws -> ChildProcess.Ending {
        guard let pid = child.withLock({ $0 }) else { throw DeadlinePassed(description: "no relay was started") }
        var status: CInt = 0
        try await eventually("the end of the relay") { waitpid(pid, &status, WNOHANG) == pid }
        child.withLock { $0 = nil }
        return status & 0x7f == 0 ? .exited(status >> 8 & 0xff) : .signaled(status & 0x7f)
    }
}
