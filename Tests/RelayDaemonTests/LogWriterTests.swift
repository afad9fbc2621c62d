import Dispatch
import Glibc
import TestSupport
import Testing

@testable import RelayDaemon

@Suite struct LogWriterTests {
    /// A pipe whose reading end is slow, or goes away.
    private struct Pipe {
        let (reader, writer): (CInt, CInt)

        init() throws {
            var ends: [CInt] = [0, 0]
            let result = pipe(&ends)
            try #require(result == 0)
            (reader, writer) = (ends[0], ends[1])
            _ = fcntl(reader, F_SETFL, O_NONBLOCK)
            signal(SIGPIPE, SIG_IGN)
        }

        func fill() {
            _ = fcntl(writer, F_SETFL, O_NONBLOCK)
            let piece = [UInt8](repeating: 0x2E, count: 4096)
            for size in [4096, 1] { while write(writer, piece, size) > 0 {} }
            _ = fcntl(writer, F_SETFL, 0)
        }

        func read() -> String {
            var (text, piece) = ("", [UInt8](repeating: 0, count: 65_536))
            while true {
                let count = Glibc.read(reader, &piece, piece.count)
                guard count > 0 else { return text }
                text += String(decoding: piece.prefix(count), as: UTF8.self)
            }
        }
    }

    private static func writer(_ descriptor: CInt) -> LogWriter {
        LogWriter(descriptor: descriptor) { .line(Array("dropped \($0.lines)\n".utf8)) }
    }

    private static func line(_ text: String) -> LogEntry { .line(Array("\(text)\n".utf8)) }

    @Test func `lines are written in their order`() throws {
        let pipe = try Pipe()
        let writer = Self.writer(pipe.writer)
        for number in 0..<100 { writer.append(Self.line("\(number)")) }
        writer.flush(within: .seconds(30))
        #expect(pipe.read() == (0..<100).map { "\($0)\n" }.joined())
        close(pipe.reader)
        close(pipe.writer)
    }

    @Test func `a reader that is stuck holds up no one who logs, and learns later what it has missed`() async throws {
        let pipe = try Pipe()
        pipe.fill()
        let writer = Self.writer(pipe.writer)
        let count = LogBuffer.maxEntries + 100
        for number in 0..<count { writer.append(Self.line("line \(number)")) }
        writer.flush(within: .milliseconds(1))
        let dropped = Int(writer.droppedCount)
        // The thread may have taken one line already.
        #expect((99...100).contains(dropped))
        var text = ""
        try await eventually("all lines") {
            text += pipe.read()
            return text.contains("line \(count - dropped - 1)\n") && text.contains("dropped \(dropped)\n")
        }
        writer.append(Self.line("the end"))
        writer.flush(within: .seconds(30))
        #expect(pipe.read() == "the end\n")
        close(pipe.reader)
        close(pipe.writer)
    }

    @Test func `lines for a reader that is gone are counted`() throws {
        let pipe = try Pipe()
        close(pipe.reader)
        let writer = Self.writer(pipe.writer)
        for number in 0..<3 { writer.append(Self.line("\(number)")) }
        writer.flush(within: .seconds(30))
        #expect(writer.droppedCount == 3)
        close(pipe.writer)
    }

    @Test func `a line of the journal that goes to its stream has its priority before it`() {
        let fields = [LogField(name: "MESSAGE", value: "started"), LogField(name: "PRIORITY", value: "5")]
        #expect(LogWriter.prefixedLine(fields) == Array("<5>started\n".utf8))
    }
}
