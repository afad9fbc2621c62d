import Dispatch
import Foundation
import Glibc
import Outbox
import Synchronization
import Systemd

/// The one thread that writes the log, so that a log that cannot be written decides nothing about the service.
///
/// Whoever logs only appends to a bounded buffer. A reader that is gone, a full disk or a journal that is away costs the
/// lines; a reader that is stuck holds up this thread alone.
final class LogWriter: Sendable {
    private let descriptor: CInt
    /// Makes the line that tells of lines that were dropped.
    private let describe: @Sendable (LogBuffer.Gap) -> LogEntry
    private let buffer = Mutex(LogBuffer())
    private let flushes = Mutex<[DispatchSemaphore]>([])
    private let work = DispatchSemaphore(value: 0)

    /// Starts the thread, which lives as long as the process.
    init(descriptor: CInt = STDERR_FILENO, describe: @escaping @Sendable (LogBuffer.Gap) -> LogEntry) {
        (self.descriptor, self.describe) = (descriptor, describe)
        let thread = Thread { [self] in
            var isMidLine = false
            while true {
                work.wait()
                turn(&isMidLine)
            }
        }
        thread.name = "log"
        thread.start()
    }

    /// Lines that were dropped, ever.
    var droppedCount: UInt64 { buffer.withLock { $0.droppedCount } }

    /// Has a line written; it never waits.
    func append(_ entry: LogEntry) {
        let isTaken = buffer.withLock { $0.append(entry, nowMilliseconds: RelayClock.wallMilliseconds()) }
        if isTaken { work.signal() }
    }

    /// Waits until everything that was appended so far is written or dropped, no longer than this.
    func flush(within limit: DispatchTimeInterval) {
        let isDone = DispatchSemaphore(value: 0)
        flushes.withLock { $0.append(isDone) }
        work.signal()
        _ = isDone.wait(timeout: .now() + limit)
    }

    // MARK: - On the thread

    private func turn(_ isMidLine: inout Bool) {
        // Before the entries: what was appended before one of these is then written before it is answered.
        let waiting = flushes.withLock { flushes in
            defer { flushes = [] }
            return flushes
        }
        while let entry = buffer.withLock({ $0.next() }) {
            guard write(entry, &isMidLine) else {
                buffer.withLock { $0.noteDropped(nowMilliseconds: RelayClock.wallMilliseconds()) }
                continue
            }
            reportGap(&isMidLine)
        }
        for flush in waiting { flush.signal() }
    }

    /// Tells of dropped lines as soon as a line was written again.
    private func reportGap(_ isMidLine: inout Bool) {
        guard let gap = buffer.withLock({ $0.gap }), write(describe(gap), &isMidLine) else { return }
        buffer.withLock { $0.noteReported(gap, nowMilliseconds: RelayClock.wallMilliseconds()) }
    }

    private func write(_ entry: LogEntry, _ isMidLine: inout Bool) -> Bool {
        switch entry {
        case .line(let bytes): return write(bytes, &isMidLine)
        case .fields(let fields):
            if Journal.send(fields.map { ($0.name, $0.value) }) { return true }
            // Without the journal's socket its stream, which knows priorities, still takes lines.
            return write(Self.prefixedLine(fields), &isMidLine)
        }
    }

    /// A journal entry as a line with its priority as `<N>` (sd-daemon(3)).
    static func prefixedLine(_ fields: [LogField]) -> [UInt8] {
        let value = { (name: String) in fields.first { $0.name == name }?.value ?? "" }
        return Array("<\(value("PRIORITY"))>\(value("MESSAGE"))\n".utf8)
    }

    private func write(_ line: [UInt8], _ isMidLine: inout Bool) -> Bool {
        // The rest of a line that broke off must not run into this one.
        let bytes = isMidLine ? [UInt8(ascii: "\n")] + line : line
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.write(descriptor, $0.baseAddress?.advanced(by: written), $0.count - written)
            }
            if count > 0 {
                written += count
                isMidLine = written < bytes.count
                continue
            }
            switch count < 0 ? errno : EIO {
            case EINTR: continue
            case EAGAIN:
                // Somebody has made the stream non-blocking, which is shared with other processes.
                var ready = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                poll(&ready, 1, -1)
            default: return false
            }
        }
        return true
    }
}
