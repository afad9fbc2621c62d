import DexatelAPI
import HTTPWire
import NIOCore
import NIOHTTP1
import Outbox

/// Serves `/_relay/…`, which is never forwarded (design §2.1).
final class RelayEndpointExchange: Exchange {
    private let head: RequestHead
    private let path: String
    private let server: ServerCore
    private let connection: ConnectionHandler

    init(_ head: RequestHead, path: String, server: ServerCore, connection: ConnectionHandler) {
        self.head = head
        self.path = path
        self.server = server
        self.connection = connection
    }

    func receive(_ bytes: ByteBuffer) {}
    func end() {}
    func cancel() {}

    func begin() {
        connection.serve(with: self)
        let caller: Caller
        do throws(ClientRefusal) {
            // Who supervises has no token, and learns nothing there but how the relay does.
            let isHealth = path == "/_relay/live" || path == "/_relay/ready"
            caller = try connection.admit(ClientFields(head), needsCredentials: !isHealth)
        } catch {
            return connection.answer(
                server.errors.refused(error, isRelayEndpoint: true, for: RequestSummary(head)),
                from: self
            )
        }
        let writesPrefix = "/_relay/writes/"
        switch path {
        case "/_relay/live", "/_relay/ready", "/_relay/status", "/_relay/metrics": break
        case _ where path.hasPrefix(writesPrefix): break
        default: return answer(server.errors.problem(404, "not_found", "There is nothing at \(path)"))
        }
        guard head.method == .GET || head.method == .HEAD else {
            return answer(
                server.errors.problem(
                    405,
                    "method_not_allowed",
                    "\(path) answers GET and HEAD only",
                    headers: [("Allow", "GET, HEAD")]
                )
            )
        }
        switch path {
        case "/_relay/live": answer(Self.reply(server.health.live()))
        case "/_relay/ready": answer(Self.reply(server.health.ready()))
        case "/_relay/status": answerStatus()
        case "/_relay/metrics": answerMetrics()
        default: answerReceipt(path.dropFirst(writesPrefix.count), caller)
        }
    }

    private func answerStatus() {
        let health = server.health
        answerLater { Self.json(await health.statusDocument()) }
    }

    private func answerMetrics() {
        let health = server.health
        answerLater {
            Reply(
                status: 200,
                headers: [("Content-Type", "text/plain; version=0.0.4; charset=utf-8")],
                body: ByteBuffer(bytes: await health.metricsDocument())
            )
        }
    }

    private func answerReceipt(_ name: Substring, _ caller: Caller) {
        guard let key = caller.key else {
            return answer(
                server.errors.problem(401, "key_missing", "A receipt needs the X-Dexatel-Key that made the write")
            )
        }
        let unknown = server.errors.problem(404, "not_found", "No write of this key has this id")
        guard let id = WriteID(name) else { return answer(unknown) }
        let unreadable = server.errors.problem(
            503,
            "outbox_unavailable",
            "The outbox cannot be read just now",
            headers: [("Retry-After", "2")]
        )
        let outbox = server.outbox
        answerLater {
            do {
                guard let receipt = try await outbox.receipt(id, for: key) else {
                    return unknown
                }
                return Self.json(ReceiptDocument(receipt: receipt).rendered())
            } catch {
                return unreadable
            }
        }
    }

    private func answerLater(_ make: @escaping @Sendable () async -> Reply) {
        let eventLoop = connection.eventLoopContext.eventLoop
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        Task {
            let reply = await make()
            eventLoop.execute { bound.value.answer(reply) }
        }
    }

    private func answer(_ reply: Reply) {
        var reply = reply
        reply.headers.append(("Cache-Control", "no-store"))
        connection.answer(reply, from: self)
    }

    private static func json(_ bytes: [UInt8]) -> Reply {
        Reply(status: 200, headers: [("Content-Type", "application/json")], body: ByteBuffer(bytes: bytes))
    }

    private static func reply(_ report: HealthReport) -> Reply {
        var text: [UInt8] = Array(#"{"status":"\#(report.isOK ? "ok" : "unavailable")","since":"#.utf8)
        JSONText.appendQuoted(RFC3339.text(millisecondsSinceEpoch: report.sinceMilliseconds), to: &text)
        text += Array(#","checks":{"#.utf8)
        for (index, check) in report.checks.enumerated() {
            if index > 0 { text.append(UInt8(ascii: ",")) }
            JSONText.appendQuoted(check.name, to: &text)
            text += Array(#":{"status":"\#(check.isOK ? "ok" : "unavailable")""#.utf8)
            if let detail = check.detail {
                text += Array(#","detail":"#.utf8)
                JSONText.appendQuoted(detail, to: &text)
            }
            text.append(UInt8(ascii: "}"))
        }
        text += Array("}}".utf8)
        var reply = json(text)
        reply.status = report.isOK ? 200 : 503
        return reply
    }
}
