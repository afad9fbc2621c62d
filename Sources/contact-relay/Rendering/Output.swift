import AdminAPI
import Foundation
import Synchronization

/// Standard output and standard error of a command: the one place that writes to them.
enum Output {
    private static let bufferBytes = 1 << 16
    private static let buffer = Mutex<[UInt8]>([])

    /// Adds text to the command's result, which is written in large pieces, or at once where a person looks at it.
    ///
    /// Throws an `OutputFailure` when it cannot be written; the program then ends with 74.
    static func print(_ text: String, terminator: String = "\n") throws {
        let count = buffer.withLock { buffer in
            buffer += text.utf8
            buffer += terminator.utf8
            return buffer.count
        }
        if isTerminal || count >= bufferBytes { try flush() }
    }

    /// Prints a message as JSON for people and programs.
    static func json(_ message: some Encodable) throws {
        try print(String(decoding: try AdminJSON.encode(message, pretty: true), as: UTF8.self))
    }

    /// Writes what was printed so far.
    static func flush() throws {
        let bytes = buffer.withLock { buffer in
            defer { buffer.removeAll(keepingCapacity: true) }
            return buffer
        }
        if let number = write(bytes, to: STDOUT_FILENO) { throw OutputFailure(errorNumber: number) }
    }

    /// Says something that is not the command's result; that it cannot be said changes nothing.
    static func note(_ text: String, terminator: String = "\n") {
        _ = write(Array((text + terminator).utf8), to: STDERR_FILENO)
    }

    /// Whether a person looks at standard output.
    static let isTerminal = isatty(STDOUT_FILENO) == 1

    /// Writes all bytes.
    ///
    /// - Returns: The system's error number, or nil when all is written.
    static func write(_ bytes: [UInt8], to descriptor: Int32) -> Int32? {
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.write(descriptor, $0.baseAddress?.advanced(by: written), $0.count - written)
            }
            if count > 0 {
                written += count
                continue
            }
            let number = count < 0 ? errno : EIO
            switch number {
            case EINTR: continue
            case EAGAIN:
                var ready = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                poll(&ready, 1, -1)
            default: return number
            }
        }
        return nil
    }
}

/// Standard output cannot be written (exit 74).
struct OutputFailure: Error, CustomStringConvertible {
    let errorNumber: Int32

    /// Whether the reader has gone, as `head` does when it has enough: no news to anybody.
    var isReaderGone: Bool { errorNumber == EPIPE }

    var description: String { "cannot write standard output: \(String(cString: strerror(errorNumber)))" }
}
