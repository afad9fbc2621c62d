import Glibc

/// How far an outbox has got, kept in a file beside it: the mark shows that a state directory has had an outbox, and that the
/// outbox which is found there holds all that was acknowledged.
///
/// It is written behind each commit and never synced: the position in the file is never ahead of what is durable, and is exact
/// unless the machine itself stopped.
final class OutboxMark {
    /// What each commit moves on.
    struct Position: Equatable, Sendable {
        /// The sequence of the next write.
        var nextSequence: Int64
        /// The relay's clock, in milliseconds: it is written in every transaction.
        var clock: Int64

        /// Whether an outbox that has got here lacks something of one that had got to the other.
        func isBehind(_ other: Position) -> Bool { nextSequence < other.nextSequence || clock < other.clock }
    }

    /// The name of the file.
    static let name = "outbox.mark"

    private static let header = "contact-relay outbox mark 1\n"
    private static let explanation = """

        There has been an outbox in this directory: without outbox.sqlite, or with one that lacks something of the above,
        contact-relay does not start. Whoever removes this file accepts the loss: contact-relay then goes on with what is
        there, or with an empty outbox.

        """

    /// A mark as it was found.
    struct Found: Equatable, Sendable {
        /// Nil when the file cannot be understood.
        var position: Position?
    }

    private let descriptor: Int32
    private var last: Position

    /// Opens the mark of a state directory, or makes one that is on disk when this returns.
    init(at path: String, in directory: String, position: Position) throws(OutboxError) {
        let failure = { (message: String, number: Int32) in OutboxError(.storage, message, errorNumber: number) }
        if try Self.find(at: path)?.position == nil {
            let text = Self.text(position)
            let made = text.withUnsafeBytes { bytes in
                Result { () throws(OutboxError) in
                    try DurableFile.create(at: path, in: directory, bytes, failure: failure)
                }
            }
            try made.get()
        }
        let descriptor = open(path, O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw failure("cannot open \(path): \(OutboxError.text(ofErrno: errno))", errno)
        }
        self.descriptor = descriptor
        last = position
        write(position)
    }

    deinit { close(descriptor) }

    /// Notes what has just become durable; one system call.
    func note(_ position: Position) {
        guard position != last else { return }
        write(position)
    }

    private func write(_ position: Position) {
        last = position
        let lines = Self.lines(position)
        // A mark that stays behind notices less, and refuses nothing that is whole.
        _ = lines.withUnsafeBytes { pwrite(descriptor, $0.baseAddress, $0.count, Self.header.utf8.count) }
    }

    // MARK: - Text

    /// The mark at a path; nil when there is none.
    static func find(at path: String) throws(OutboxError) -> Found? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT || errno == ENOTDIR { return nil }
            throw OutboxError(.storage, "cannot read \(path): \(OutboxError.text(ofErrno: errno))", errorNumber: errno)
        }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 1_024)
        let count = read(descriptor, &bytes, bytes.count)
        guard count >= 0 else {
            throw OutboxError(.storage, "cannot read \(path): \(OutboxError.text(ofErrno: errno))", errorNumber: errno)
        }
        return Found(position: position(in: bytes.prefix(count)))
    }

    static func text(_ position: Position) -> [UInt8] {
        Array(header.utf8) + lines(position) + Array(explanation.utf8)
    }

    static func position(in bytes: some Collection<UInt8>) -> Position? {
        guard bytes.starts(with: header.utf8) else { return nil }
        var rest = bytes.dropFirst(header.utf8.count)
        func number(_ name: String) -> Int64? {
            guard rest.starts(with: name.utf8) else { return nil }
            rest = rest.dropFirst(name.utf8.count)
            let digits = rest.prefix(digitCount)
            rest = rest.dropFirst(digitCount)
            guard digits.count == digitCount, rest.first == 0x0A else { return nil }
            rest = rest.dropFirst()
            guard digits.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
            return Int64(String(decoding: digits, as: UTF8.self))
        }
        guard let sequence = number(sequenceName), let clock = number(clockName) else { return nil }
        return Position(nextSequence: sequence, clock: clock)
    }

    private static let digitCount = 19
    private static let sequenceName = "next_sequence "
    private static let clockName = "clock "

    /// Always as long, so that one takes the other's place.
    private static func lines(_ position: Position) -> [UInt8] {
        var lines: [UInt8] = []
        lines.reserveCapacity(64)
        for (name, value) in [(sequenceName, position.nextSequence), (clockName, position.clock)] {
            lines += name.utf8
            let end = lines.count + digitCount
            lines += repeatElement(0x30, count: digitCount)
            var (rest, index) = (max(0, value), end)
            while rest > 0 {
                index -= 1
                lines[index] = 0x30 + UInt8(rest % 10)
                rest /= 10
            }
            lines.append(0x0A)
        }
        return lines
    }
}
