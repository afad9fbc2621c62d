import Glibc
import NIOCore
import Outbox
import ProxyServer

/// What is known of an error that ends the start of the daemon.
package enum StartFailure {
    /// The system's error number behind it, where there is one (`ERRNO=`).
    package static func errorNumber(of error: any Error) -> Int32? {
        switch error {
        case let error as OutboxError: error.errorNumber
        case let error as ListenFailure: error.errorNumber
        case let error as IOError: error.errnoCode
        case let error as UnixSocketFailure: error.errorNumber
        default: nil
        }
    }

    /// Whether another daemon has what this one needs (exit 75).
    package static func isTaken(_ error: any Error) -> Bool { (error as? UnixSocketFailure)?.isTaken == true }

    /// Whether the configuration, or what the system allows the process, is not enough (exit 78).
    package static func isConfiguration(_ error: any Error) -> Bool {
        error is PassedSocketError || error is TooFewDescriptors || error is RemoteListenAddress
    }
}

/// The sockets for apps could not be set up.
struct ListenFailure: Error, CustomStringConvertible {
    let address: String
    let errorNumber: Int32

    var description: String {
        let hint = errorNumber == EADDRINUSE ? "; another program, or a socket unit of systemd, has it" : ""
        return "cannot listen at \(address): \(String(cString: strerror(errorNumber)))\(hint)"
    }
}
