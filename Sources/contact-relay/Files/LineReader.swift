import Foundation

/// Reads lines of bounded length from standard input or a file.
final class LineReader {
    /// Bytes of a line at most: a write of the largest body, in base 64.
    static let maxLineBytes = 24 << 20
    private static let chunkBytes = 1 << 16

    private let descriptor: Int32
    private let name: String
    private var buffer: [UInt8] = []
    private var start = 0
    private var isAtEnd = false
    /// The number of the last line that was read.
    private(set) var number = 0

    /// - Parameter path: nil or `-` for standard input.
    init(path: String?) throws {
        guard let path, path != "-" else {
            (descriptor, name) = (STDIN_FILENO, "standard input")
            return
        }
        name = path
        descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw FileFailure(description: "cannot read \(path): \(String(cString: strerror(errno)))")
        }
    }

    deinit {
        if descriptor != STDIN_FILENO { close(descriptor) }
    }

    /// The next line without its end; nil at the end.
    func next() throws -> [UInt8]? {
        var searched = start
        while true {
            if let end = buffer[searched...].firstIndex(of: UInt8(ascii: "\n")) {
                let line = Array(buffer[start..<end])
                start = end + 1
                number += 1
                return line
            }
            searched = buffer.count
            if isAtEnd {
                guard start < buffer.count else { return nil }
                defer { start = buffer.count }
                number += 1
                return Array(buffer[start...])
            }
            guard buffer.count - start <= Self.maxLineBytes else {
                throw FileFailure(description: "\(name): line \(number + 1) is longer than \(Self.maxLineBytes) bytes")
            }
            searched -= start
            buffer.removeFirst(start)
            start = 0
            try fill()
        }
    }

    private func fill() throws {
        let count = buffer.count
        buffer += [UInt8](repeating: 0, count: Self.chunkBytes)
        var got: Int
        repeat {
            got = buffer.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress! + count, Self.chunkBytes) }
        } while got < 0 && errno == EINTR
        buffer.removeLast(Self.chunkBytes - max(0, got))
        guard got >= 0 else {
            throw FileFailure(description: "cannot read \(name): \(String(cString: strerror(errno)))")
        }
        isAtEnd = got == 0
    }
}
