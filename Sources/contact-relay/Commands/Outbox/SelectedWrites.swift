import AdminAPI

/// The writes of some selectors, fetched part by part.
struct SelectedWrites {
    private static let pageWrites = 500

    private let client: AdminClient
    private let selectors: [WriteSelector]
    private let limit: Int

    init(_ client: AdminClient, _ selectors: [WriteSelector], limit: Int? = nil) {
        (self.client, self.selectors, self.limit) = (client, selectors, limit ?? .max)
    }

    /// Visits each in order.
    func forEach(_ visit: (WriteSummary) async throws -> Void) async throws {
        var left = limit
        for selector in selectors {
            var after: Int64? = 0
            while let sequence = after, left > 0 {
                let request = WritePageRequest(selector, after: sequence, limit: min(left, Self.pageWrites))
                let page = try await client.list(request)
                for write in page.writes.prefix(left) { try await visit(write) }
                left -= page.writes.count
                after = page.next
            }
        }
    }

    /// How many there are.
    func count() async throws -> Int {
        var count = 0
        for selector in selectors {
            var after: Int64? = 0
            while let sequence = after {
                let part = try await client.count(WritePageRequest(selector, after: sequence))
                count += part.count
                after = part.next
            }
        }
        return count
    }

    /// Changes all of them, and shows how far that is.
    func change(_ command: WriteCommand, force: Bool = false) async throws -> WriteChangeReply {
        var progress = Progress()
        var reply = WriteChangeReply()
        for selector in selectors {
            var after: Int64? = 0
            while let sequence = after {
                let request = WriteChangeRequest(selector, force: force, after: sequence)
                reply.add(try await client.change(command, request))
                after = reply.next
                if after != nil { progress.show("\(command.rawValue): \(StatusLine.grouped(Int64(reply.changed)))…") }
            }
        }
        progress.clear()
        return reply
    }
}
