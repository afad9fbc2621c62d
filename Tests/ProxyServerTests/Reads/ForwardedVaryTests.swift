import ResponseCache
import TestSupport
import Testing

@testable import ProxyServer

@Suite("Stored replies are chosen by what the upstream was sent")
struct ForwardedVaryTests {
    private static let fields = ["X-Tenant", "Accept-Language", "TE", "Cookie-Like", "Range"]

    /// What an upstream is sent of a field: nothing of what `Connection` names or what belongs to the connection.
    private static func sent(_ fields: [(name: String, value: String)], _ name: String) -> String {
        let connection = fields.filter { $0.name == "Connection" }.flatMap { $0.value.split(separator: ", ") }
        let isStripped = name == "TE" || name == "Range" || connection.contains { $0.lowercased() == name.lowercased() }
        let values = isStripped ? [] : fields.filter { $0.name == name }.map(\.value)
        return values.isEmpty ? "none" : values.joined(separator: "+")
    }

    @Test("§4.1 a reply is shown to those alone whose own request would have sent the same fields, whatever they named")
    func property() async throws {
        var random = SeededGenerator("forwarded vary")
        try await withUpstream { peer, head in
            let request = RawClient.RawReply(head: head, body: "", isWhole: true)
            let name = head.split(separator: " ")[1].split(separator: "/").last.map(String.init) ?? ""
            let values = request.fields(name)
            let seen = values.isEmpty ? "none" : values.joined(separator: "+")
            try await peer.write(Reads.reply(seen, "Vary: \(name)\r\nCache-Control: max-age=600\r\n"))
            return true
        } _: { upstream in
            try await withServer(upstream: upstream.url) { port, parts in
                var distinct: Set<String> = []
                try await RawClient.with(port: port) { client in
                    for _ in 0..<600 {
                        let name = Self.fields.randomElement(using: &random) ?? ""
                        var fields: [(name: String, value: String)] = Self.fields.compactMap { field in
                            // Parts are not fetched on their own if the upstream sends the whole.
                            guard field != "Range", let value = [nil, "1", "2"].randomElement(using: &random) ?? nil
                            else { return nil }
                            return (field, value)
                        }
                        if Bool.random(using: &random) {
                            let named = Self.fields.filter { _ in Bool.random(using: &random) }
                            let spelled = named.map { Bool.random(using: &random) ? $0.lowercased() : $0 }
                            fields.append(("Connection", (["X-None"] + spelled).joined(separator: ", ")))
                        }
                        let key = [nil, "one"].randomElement(using: &random) ?? nil
                        let text = fields.map { "\($0.name): \($0.value)\r\n" }.joined()
                        try await client.send(Reads.get("/v1/by/\(name)", key: key, text))
                        let reply = try await client.reply()
                        let expected = Self.sent(fields, name)
                        #expect(
                            reply.status == 200 && reply.body == expected,
                            "seed \(random.seed), \(name), \(fields)"
                        )
                        distinct.insert("\(key ?? "none") \(name) \(expected)")
                    }
                }
                // The same fields match: nothing is asked for twice.
                #expect(upstream.requests.count == distinct.count)
                #expect(parts.cache.counters.hits > 300)
            }
        }
    }
}
