import DexatelAPI
import NIOHTTP1

/// What a request's head says of the body behind it.
struct AnnouncedBody {
    /// How long it is; nil if only its end will tell.
    private(set) var bytes: Int? = 0
    /// Whether the client waits to be asked for it (RFC 9110 §10.1.1).
    private(set) var isHeldBack = false

    init(_ headers: HTTPHeaders) {
        var isChunked = false
        for (name, value) in headers {
            // By length first: hardly a field needs a second look.
            switch name.utf8.count {
            case 6 where name.isASCII("expect"): isHeldBack = isHeldBack || value.isASCII("100-continue")
            case 14 where name.isASCII("content-length"): bytes = Int(value)
            case 17 where name.isASCII("transfer-encoding"): isChunked = true
            default: break
            }
        }
        if isChunked { bytes = nil }
    }
}
