import HTTPWire
import NIOCore

@testable import ProxyServer

/// Serves every request as the test says; bound to the test's one thread.
final class ScriptedRouter: RequestRouter {
    private let onHead: NIOLoopBoundBox<(RequestHead, ConnectionHandler) -> Void>

    init(eventLoop: any EventLoop, _ onHead: @escaping (RequestHead, ConnectionHandler) -> Void) {
        self.onHead = NIOLoopBoundBox.makeBoxSendingValue(Uncalled.handler, eventLoop: eventLoop)
        self.onHead.value = onHead
    }

    private enum Uncalled {
        static let handler: @Sendable (RequestHead, ConnectionHandler) -> Void = { _, _ in }
    }

    func serve(_ head: RequestHead, on connection: ConnectionHandler) { onHead.value(head, connection) }
}

/// An exchange that notes what it is told.
final class NotingExchange: Exchange {
    let head: RequestHead
    let connection: ConnectionHandler
    var body = ""
    var bodyBytes = 0
    var hasEnded = false
    var cancels = 0
    var resumes = 0

    init(_ head: RequestHead, _ connection: ConnectionHandler) {
        self.head = head
        self.connection = connection
    }

    func receive(_ bytes: ByteBuffer) {
        body += String(buffer: bytes)
        bodyBytes += bytes.readableBytes
    }

    func end() { hasEnded = true }
    func cancel() { cancels += 1 }
    func resumeAnswer() { resumes += 1 }

    func answer(_ status: Int = 200, _ text: String = "", mustClose: Bool = false) {
        var reply = Reply(status: status, body: ByteBuffer(string: text))
        reply.mustClose = mustClose
        connection.answer(reply, from: self)
    }
}
