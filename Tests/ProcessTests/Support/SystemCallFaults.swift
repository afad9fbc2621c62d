import Foundation

/// Makes system calls of a daemon fail, by strace(1), as a disk that is broken or full would.
///
/// The calls are counted for each thread by itself; the outbox is written by one thread alone.
struct SystemCallFaults: Sendable {
    /// Names of system calls, with commas between.
    let calls: String
    /// Which of a thread's calls fail, and how: `EIO:when=6+` or `ENOSPC:when=40..44`, as strace takes it.
    let effect: String
    /// Where strace writes what it saw.
    let tracePath: String

    init(_ calls: String, _ error: String, in sandbox: Sandbox) {
        (self.calls, effect, tracePath) = (calls, "error=" + error, sandbox.folder + "/system-calls")
    }

    /// Calls that take long instead of failing.
    init(_ calls: String, delayedBy delay: Duration, _ when: String, in sandbox: Sandbox) {
        let microseconds = delay.components.seconds * 1_000_000
        (self.calls, tracePath) = (calls, sandbox.folder + "/system-calls")
        effect = "delay_enter=\(microseconds):when=\(when)"
    }

    /// The arguments of strace before those of the program, which stays the process that is spawned (`-D`).
    var arguments: [String] {
        [
            "-D", "-f", "--seccomp-bpf", "-o", tracePath, "-e", "trace=\(calls)", "-e",
            "inject=\(calls):\(effect)",
        ]
    }

    /// How many calls were made to fail so far.
    func injected() -> Int {
        let trace = (try? String(contentsOfFile: tracePath, encoding: .utf8)) ?? ""
        return trace.split(separator: "\n").count { $0.hasSuffix("(INJECTED)") }
    }
}
