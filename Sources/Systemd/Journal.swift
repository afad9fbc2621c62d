private import CSystemd
private import Glibc

/// The systemd journal, as a place for log entries with fields (sd_journal_sendv(3)).
package enum Journal {
    /// Whether standard error is connected to the journal, as `$JOURNAL_STREAM` says of the stream that it names.
    ///
    /// - Parameter stream: The variable's value, `device:inode`.
    package static func isStandardError(_ stream: String?) -> Bool {
        var status = stat()
        guard let stream, fstat(STDERR_FILENO, &status) == 0 else { return false }
        return stream == "\(status.st_dev):\(status.st_ino)"
    }

    /// Where the journal takes entries.
    private static let socketPath = "/run/systemd/journal/socket"

    /// Sends one entry; false if the journal is not there.
    ///
    /// - Parameter fields: Names in capitals and their values, which may hold anything.
    package static func send(_ fields: [(name: String, value: String)]) -> Bool {
        // The library says that all went well when there is no journal.
        guard access(socketPath, W_OK) == 0 else { return false }
        var bytes: [UInt8] = []
        var ends: [Int] = []
        for (name, value) in fields {
            bytes.append(contentsOf: name.utf8)
            bytes.append(UInt8(ascii: "="))
            bytes.append(contentsOf: value.utf8)
            ends.append(bytes.count)
        }
        return bytes.withUnsafeMutableBytes { buffer in
            var start = 0
            let vectors = ends.map { end in
                defer { start = end }
                return iovec(iov_base: buffer.baseAddress?.advanced(by: start), iov_len: end - start)
            }
            return vectors.withUnsafeBufferPointer { sd_journal_sendv($0.baseAddress, CInt($0.count)) } == 0
        }
    }
}
