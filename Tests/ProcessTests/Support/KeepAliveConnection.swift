import Glibc
import NIOHTTP1
import TestSupport

/// A connection for many requests, one after the other, for threads that may block: a fraction of what `Exchange` costs.
///
/// It belongs to one thread, and reads replies with `Content-Length`, chunked ones, and those without a body.
final class KeepAliveConnection {
    private let port: Int
    private var descriptor: CInt
    private var received: [UInt8] = []
    /// The last reply said that nothing comes after it, as one does that is given before a body has come in.
    private var isOver = false
    /// The first line of the request that is being answered.
    private var asked = ""

    init(port: Int) throws {
        self.port = port
        descriptor = try loopbackConnection(port: port)
    }

    deinit { close(descriptor) }

    /// Sends a request and waits for its reply.
    ///
    /// - Throws: `DeadlinePassed` when the connection breaks off.
    func exchange(_ request: String, isHead: Bool = false) throws -> Answer {
        if isOver {
            close(descriptor)
            descriptor = try loopbackConnection(port: port)
            (received, isOver) = ([], false)
        }
        asked = String(request.prefix { !$0.isNewline })
        try send(Array(request.utf8))
        while true {
            var answer = try head()
            isOver = answer.headers[canonicalForm: "Connection"].contains { $0.lowercased() == "close" }
            // Interim replies are no answers.
            if (100..<200).contains(answer.status) { continue }
            guard !isHead, answer.status != 204, answer.status != 304 else { return answer }
            if answer.headers.first(name: "Transfer-Encoding") != nil {
                answer.body = try chunks()
            } else if let length = answer.headers.first(name: "Content-Length").flatMap({ Int($0) }) {
                answer.body = try take(length)
            } else {
                throw DeadlinePassed(description: "a reply without a length: \(answer.status)")
            }
            return answer
        }
    }

    private func send(_ bytes: [UInt8]) throws {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress?.advanced(by: sent), $0.count - sent, CInt(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw DeadlinePassed(description: "the connection does not take a request") }
            sent += count
        }
    }

    private func receive() throws {
        var piece = [UInt8](repeating: 0, count: 65_536)
        let count = recv(descriptor, &piece, piece.count, 0)
        guard count > 0 else {
            let reason = count == 0 ? "end" : String(cString: strerror(errno))
            throw DeadlinePassed(
                description: "the connection ended \(received.count) bytes into the reply to \(asked): \(reason)"
            )
        }
        received += piece.prefix(count)
    }

    private func take(_ count: Int) throws -> [UInt8] {
        while received.count < count { try receive() }
        defer { received.removeFirst(count) }
        return Array(received.prefix(count))
    }

    /// Everything up to a mark, which is taken, too.
    private func take(upTo mark: String) throws -> String {
        while true {
            let end = received.withUnsafeBytes { bytes in Self.place(of: Array(mark.utf8), in: bytes) }
            guard let end else {
                try receive()
                continue
            }
            defer { received.removeFirst(end + mark.utf8.count) }
            return String(decoding: received.prefix(end), as: UTF8.self)
        }
    }

    private static func place(of mark: [UInt8], in bytes: UnsafeRawBufferPointer) -> Int? {
        guard let start = bytes.baseAddress else { return nil }
        var from = 0
        while bytes.count - from >= mark.count,
            let found = memchr(start + from, CInt(mark[0]), bytes.count - from - mark.count + 1)
        {
            let place = UnsafeRawPointer(found) - start
            if memcmp(start + place, mark, mark.count) == 0 { return place }
            from = place + 1
        }
        return nil
    }

    private func head() throws -> Answer {
        let lines = try take(upTo: "\r\n\r\n").split(separator: "\r\n")
        guard let status = lines.first?.split(separator: " ").dropFirst().first.flatMap({ Int($0) }) else {
            throw DeadlinePassed(description: "no status line: \(lines)")
        }
        var headers = HTTPHeaders()
        for line in lines.dropFirst() {
            guard let colon = line.utf8.firstIndex(of: UInt8(ascii: ":")) else { continue }
            let value = line[line.utf8.index(after: colon)...].drop { $0 == " " }
            headers.add(name: String(line[..<colon]), value: String(value))
        }
        return Answer(status: status, headers: headers, body: [])
    }

    private func chunks() throws -> [UInt8] {
        var body: [UInt8] = []
        while true {
            guard let size = Int(try take(upTo: "\r\n").prefix { $0 != ";" }, radix: 16) else {
                throw DeadlinePassed(description: "a chunk without a size")
            }
            body += try take(size)
            _ = try take(2)
            if size == 0 { return body }
        }
    }
}
