import Foundation

/// Writes lines to standard output, or to a new file of mode 0600 that is synced at the end.
final class LineWriter {
    private static let bufferBytes = 1 << 20

    private let descriptor: Int32
    private let path: String?
    private var buffer: [UInt8] = []

    init(path: String?) throws {
        self.path = path
        guard let path else {
            descriptor = STDOUT_FILENO
            return
        }
        descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw FileFailure(description: "cannot make \(path): \(String(cString: strerror(errno)))")
        }
    }

    deinit {
        if path != nil { close(descriptor) }
    }

    /// Adds a line.
    func write(_ line: Data) throws {
        buffer += line
        buffer.append(UInt8(ascii: "\n"))
        if buffer.count >= Self.bufferBytes { try flush() }
    }

    /// Writes what is left, and has it on disk.
    func finish() throws {
        try flush()
        guard let path, fsync(descriptor) != 0 else { return }
        throw Self.failure(path, errno)
    }

    private func flush() throws {
        defer { buffer.removeAll(keepingCapacity: true) }
        guard let number = Output.write(buffer, to: descriptor) else { return }
        throw path.map { Self.failure($0, number) } ?? OutputFailure(errorNumber: number)
    }

    private static func failure(_ path: String, _ number: Int32) -> any Error {
        FileFailure(description: "cannot write \(path): \(String(cString: strerror(number)))")
    }
}
