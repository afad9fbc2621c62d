import NIOCore
import NIOHTTP1

/// Writes the request target exactly as the app sent it.
///
/// async-http-client takes a URL and rebuilds the target from its parsed parts, and parsing may percent-encode,
/// decode or normalise (`filter[search]=a%20b`, dot segments, doubled slashes), which depends on the Foundation
/// at hand. A relay has no business doing that: the target travels in a field of our own, and this handler,
/// between the client and its encoder, puts it into the request line and takes the field out. Every connection
/// gets one before its first request; a connection that cannot have one is not used.
final class RawTargetHandler: ChannelOutboundHandler {
    typealias OutboundIn = HTTPClientRequestPart
    typealias OutboundOut = HTTPClientRequestPart

    /// The field that carries the target from ``UpstreamClient`` to here; it never reaches the wire.
    static let fieldName = "Contact-Relay-Raw-Target"

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard case .head(var head) = self.unwrapOutboundIn(data) else {
            context.write(data, promise: promise)
            return
        }
        if let target = head.headers.first(name: Self.fieldName) {
            head.uri = target
            head.headers.remove(name: Self.fieldName)
        }
        context.write(self.wrapOutboundOut(.head(head)), promise: promise)
    }

    /// Puts a handler into a new connection's pipeline, right behind the encoder.
    static func install(in channel: any Channel) -> EventLoopFuture<Void> {
        channel.eventLoop.submit {
            let pipeline = channel.pipeline.syncOperations
            let encoder = try pipeline.handler(type: HTTPRequestEncoder.self)
            try pipeline.addHandler(RawTargetHandler(), position: .after(encoder))
        }
    }
}
