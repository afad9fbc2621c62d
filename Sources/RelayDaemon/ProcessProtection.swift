import CLinux
import Foundation

/// Keeps API keys out of core files and other processes' reach, and files away from other users (P7, design §8).
package enum ProcessProtection {
    /// Takes effect at once and for good; before any secret is read.
    package static func apply() {
        umask(0o077)
        var noCore = rlimit(rlim_cur: 0, rlim_max: 0)
        setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &noCore)
        clinux_clear_dumpable()
        // A client that hangs up is an error of one write, not the end of the daemon.
        signal(SIGPIPE, SIG_IGN)
    }
}
