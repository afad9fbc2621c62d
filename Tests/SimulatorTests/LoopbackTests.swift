import Glibc
import NIOCore
import Testing

@testable import dexatel_simulator

@Suite("Over a socket", .timeLimit(.minutes(2)))
struct LoopbackTests {
    private static let keyField = "Host: upstream.test\r\nX-Dexatel-Key: key-1\r\n"
    private static let get = "GET \(Samples.contactPath) HTTP/1.1\r\n\(keyField)\r\n"
    private static let put = #"{"data":{"first_name":"Ada"}}"#

    private static func rawPut(_ fields: String, _ body: String) -> String {
        "PUT \(Samples.contactPath) HTTP/1.1\r\n\(keyField)Content-Type: application/json\r\n\(fields)\r\n\(body)"
    }

    @Test("down refuses connections and ends those that are open; up takes the same port again")
    func downAndUp() async throws {
        try await RunningSimulator.with { simulator in
            let port = simulator.server.api.port
            let open = try RawConnection(port: port)
            open.send(Self.get)
            #expect(open.receive { $0.contains("}}") }.text.hasPrefix("HTTP/1.1 200 OK\r\n"))
            for _ in 0..<3 {
                #expect(try await simulator.control("PUT", "/faults", #"{"mode":"down"}"#).status == 200)
                #expect(throws: RawConnection.Failure(number: ECONNREFUSED)) { try RawConnection(port: port) }
                #expect(try await simulator.control("PUT", "/faults", #"{"mode":"up"}"#).status == 200)
                #expect(try await simulator.api("GET", Samples.contactPath).status == 200)
            }
            #expect(open.receive().ending == .closed)
        }
    }

    @Test("nothing else can take the port while the API is down")
    func reservedPort() async throws {
        try await RunningSimulator.with { simulator in
            _ = try await simulator.control("PUT", "/faults", #"{"mode":"down"}"#)
            let address = try PortReservation(.init(ipAddress: "127.0.0.1", port: 0))
            #expect(address.port != simulator.server.api.port)
            let descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
            defer { close(descriptor) }
            var wanted = sockaddr_in()
            wanted.sin_family = sa_family_t(AF_INET)
            wanted.sin_port = UInt16(simulator.server.api.port).bigEndian
            wanted.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
            let result = withUnsafeBytes(of: &wanted) { bytes in
                bind(descriptor, bytes.baseAddress?.assumingMemoryBound(to: sockaddr.self), 16)
            }
            #expect(result == -1)
            #expect(errno == EADDRINUSE)
        }
    }

    @Test("a reset in mid-reply comes after the head and half of the body, and the write is applied")
    func resetMidReply() async throws {
        try await RunningSimulator.with { simulator in
            _ = try await simulator.control("PUT", "/faults", #"{"reset_mid_reply":{"count":1}}"#)
            let connection = try RawConnection(port: simulator.server.api.port)
            connection.send(Self.rawPut("Content-Length: \(Self.put.utf8.count)\r\n", Self.put))
            let (text, ending) = connection.receive()
            #expect(ending == .reset)
            let parts = text.splitAtBlankLine
            #expect(parts.head.hasPrefix("HTTP/1.1 200 OK"))
            let announced = try #require(
                parts.head.split(separator: "\r\n").first { $0.hasPrefix("Content-Length: ") }
                    .flatMap { Int($0.dropFirst(16)) }
            )
            #expect(parts.body.utf8.count == announced / 2)
            let stored = try await simulator.control("GET", "/contacts/\(Samples.audience)/\(Samples.contact)")
            #expect(stored.json?["first_name"]?.string == "Ada")
            #expect(try await simulator.api("GET", Samples.contactPath).status == 200)
        }
    }

    @Test("a reset after applying leaves the client without a byte and the contact changed")
    func resetAfterApply() async throws {
        try await RunningSimulator.with { simulator in
            _ = try await simulator.control("PUT", "/faults", #"{"reset_after_apply":{"method":"PUT"}}"#)
            let connection = try RawConnection(port: simulator.server.api.port)
            connection.send(Self.rawPut("Content-Length: \(Self.put.utf8.count)\r\n", Self.put))
            let (text, ending) = connection.receive()
            #expect(text.isEmpty)
            #expect(ending == .reset)
            let read = try await simulator.api("GET", Samples.contactPath)
            #expect(read.json?["data"]?["first_name"]?.string == "Ada")
            let log = try await simulator.control("GET", "/log")
            #expect(log.json?[0]?["status"]?.integer == 0)
            #expect(log.json?[0]?["applied"] == .bool(true))
        }
    }

    @Test("a black hole reads and never answers; clearing the faults brings the answers back")
    func blackHole() async throws {
        try await RunningSimulator.with { simulator in
            _ = try await simulator.control("PUT", "/faults", #"{"mode":"black-hole"}"#)
            let connection = try RawConnection(port: simulator.server.api.port, patienceMilliseconds: 200)
            connection.send(Self.rawPut("Content-Length: \(Self.put.utf8.count)\r\n", Self.put))
            try await simulator.awaitRequests(1)
            let (text, ending) = connection.receive()
            #expect(text.isEmpty)
            #expect(ending == .stillOpen)
            #expect(try await simulator.control("DELETE", "/faults").status == 200)
            let read = try await simulator.api("GET", Samples.contactPath)
            #expect(read.json?["data"]?["first_name"]?.string == "First 0")
            let log = try await simulator.control("GET", "/log").json?.elements
            #expect(log?.map { $0["fault"] } == [.string("black-hole"), .null])
            #expect(log?.map { $0["status"]?.integer } == [0, 200])
        }
    }

    @Test("garbage is no HTTP, a redirect has its location, a maintenance page is HTML")
    func otherReplies() async throws {
        try await RunningSimulator.with { simulator in
            _ = try await simulator.control("PUT", "/faults", #"{"garbage":true}"#)
            await #expect(throws: (any Error).self) { try await simulator.api("GET", Samples.contactPath) }
            let faults = #"{"garbage":null,"redirect":{"location":"http://x.test/","count":1},"maintenance_page":true}"#
            _ = try await simulator.control("PUT", "/faults", faults)
            let redirect = try await simulator.api("GET", Samples.contactPath)
            #expect(redirect.status == 302)
            #expect(redirect.fields["location"] == "http://x.test/")
            let page = try await simulator.api("GET", Samples.contactPath)
            #expect(page.status == 200)
            #expect(page.fields["content-type"] == "text/html; charset=utf-8")
        }
    }

    @Test("a slow or late reply comes whole in the end, and the connection goes on")
    func slow() async throws {
        try await RunningSimulator.with { simulator in
            _ = try await simulator.control("PUT", "/faults", #"{"slow_body":{"bytes_per_second":4000,"count":1}}"#)
            let slow = try await simulator.api("GET", Samples.contactPath)
            _ = try await simulator.control("PUT", "/faults", #"{"latency_ms":30}"#)
            let late = try await simulator.api("GET", Samples.contactPath)
            #expect(slow.body == late.body)
            #expect(slow.json?["data"]?["id"]?.string == Samples.contact)
        }
    }

    @Test("a reply that a hang-up forestalls is logged as none")
    func hangUp() async throws {
        try await RunningSimulator.with { simulator in
            _ = try await simulator.control("PUT", "/faults", #"{"latency_ms":3600000}"#)
            do {
                let connection = try RawConnection(port: simulator.server.api.port)
                connection.send(Self.rawPut("Content-Length: \(Self.put.utf8.count)\r\n", Self.put))
                try await simulator.awaitRequests(1)
            }
            // Going down waits until every connection is closed.
            _ = try await simulator.control("PUT", "/faults", #"{"mode":"down"}"#)
            let log = try await simulator.control("GET", "/log")
            #expect(log.json?[0]?["status"]?.integer == 0)
            #expect(log.json?[0]?["applied"] == .bool(true))
            let counts = try await simulator.control("GET", "/counts")
            #expect(counts.json?["by_status"] == .object(["0": .integer(1)]))
            #expect(counts.json?["connections"]?["open"]?.integer == 0)
        }
    }

    @Test("pipelined requests are applied, answered and logged in their order")
    func pipelining() async throws {
        try await RunningSimulator.with { simulator in
            let connection = try RawConnection(port: simulator.server.api.port)
            let bodies = (0..<200).map { #"{"data":{"first_name":"n\#($0)"}}"# }
            connection.send(bodies.map { Self.rawPut("Content-Length: \($0.utf8.count)\r\n", $0) }.joined())
            connection.send("GET /v1/audiences HTTP/1.1\r\n\(Self.keyField)Connection: close\r\n\r\n")
            let (text, ending) = connection.receive()
            #expect(ending == .closed)
            let names = text.split(separator: #""first_name":""#).dropFirst().map { $0.prefix { $0 != "\"" } }
            #expect(names == (0..<200).map { "n\($0)" })
            let lines = try await simulator.control("GET", "/log.ndjson?since=100")
            let entries = lines.body.split(separator: UInt8(ascii: "\n")).map { JSONValue(parsing: Array($0)) }
            #expect(entries.map { $0?["n"]?.integer } == (101...201).map { $0 })
            #expect(entries[0]?["body"]?["data"]?["first_name"]?.string == "n100")
        }
    }

    @Test("concurrent writes are logged in the order in which they took effect")
    func logOrder() async throws {
        try await RunningSimulator.with { simulator in
            try await withThrowingTaskGroup(of: Int.self) { group in
                for index in 0..<60 {
                    group.addTask {
                        let body = #"{"data":{"first_name":"c\#(index)"}}"#
                        return try await simulator.api("PUT", Samples.contactPath, body).status
                    }
                }
                for try await status in group { #expect(status == 200) }
            }
            let log = try #require(try await simulator.control("GET", "/log").json?.elements)
            #expect(log.count == 60)
            let stored = try await simulator.control("GET", "/contacts/\(Samples.audience)/\(Samples.contact)")
            #expect(log.last?["body"]?["data"]?["first_name"] == stored.json?["first_name"])
        }
    }

    @Test("a chunked body is read, and 100 Continue comes before it is asked for")
    func bodies() async throws {
        try await RunningSimulator.with { simulator in
            let connection = try RawConnection(port: simulator.server.api.port)
            let half = Self.put.utf8.count / 2
            let (first, second) = (Self.put.prefix(half), Self.put.dropFirst(half))
            let chunks = [first, second].map { String($0.utf8.count, radix: 16) + "\r\n\($0)\r\n" }.joined()
            connection.send(Self.rawPut("Transfer-Encoding: chunked\r\n", chunks + "0\r\n\r\n"))
            #expect(connection.receive { $0.contains("}}") }.text.contains(#""first_name":"Ada""#))

            connection.send(Self.rawPut("Content-Length: 2\r\nExpect: 100-continue\r\n", ""))
            let interim = connection.receive { $0.hasSuffix("\r\n\r\n") }.text
            #expect(interim == "HTTP/1.1 100 Continue\r\n\r\n")
            connection.send("{}")
            #expect(connection.receive { $0.contains("}}") }.text.hasPrefix("HTTP/1.1 200 OK"))
        }
    }

    @Test("a body over 1 MiB gets 413, before it is sent where the client asks")
    func tooLarge() async throws {
        try await RunningSimulator.with { simulator in
            let large = try await simulator.api("PUT", Samples.contactPath, String(repeating: " ", count: 1_048_577))
            #expect(large.status == 413)
            let atLimit = "{}" + String(repeating: " ", count: 1_048_574)
            #expect(try await simulator.api("PUT", Samples.contactPath, atLimit).status == 200)
            let connection = try RawConnection(port: simulator.server.api.port)
            connection.send(Self.rawPut("Content-Length: 1048577\r\nExpect: 100-continue\r\n", ""))
            let (text, ending) = connection.receive()
            #expect(text.hasPrefix("HTTP/1.1 413 Content Too Large\r\n"))
            #expect(ending == .closed)
        }
    }

    @Test("HEAD has the head of GET and no body; what is no HTTP gets 400")
    func heads() async throws {
        try await RunningSimulator.with { simulator in
            let get = try await simulator.api("GET", Samples.contactPath)
            let head = try await simulator.api("HEAD", Samples.contactPath)
            #expect(head.status == 200)
            #expect(head.body.isEmpty)
            #expect(head.fields["content-length"] == "\(get.body.count)")
            let connection = try RawConnection(port: simulator.server.api.port)
            connection.send("this is not HTTP\r\n\r\n")
            #expect(connection.receive().text.hasPrefix("HTTP/1.1 400 Bad Request\r\n"))
        }
    }

    @Test("both ports are in the line that tells that they are bound")
    func readyLine() async throws {
        try await RunningSimulator.with { simulator in
            let (api, control) = (simulator.server.api.port, simulator.server.control.port)
            #expect(api != control)
            let expected = "dexatel-simulator ready api=http://127.0.0.1:\(api) control=http://127.0.0.1:\(control)"
            #expect(simulator.server.readyLine == expected)
        }
    }
}

extension String {
    /// The head of a message and what follows its blank line.
    fileprivate var splitAtBlankLine: (head: Substring, body: Substring) {
        guard let range = self.firstRange(of: "\r\n\r\n") else { return (self[...], "") }
        return (self[..<range.lowerBound], self[range.upperBound...])
    }
}
