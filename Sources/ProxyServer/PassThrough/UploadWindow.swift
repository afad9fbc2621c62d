/// Bounds the bytes of a request's body that the client has sent and the connection to the upstream has not taken yet.
///
/// Nothing is asked of the client before the upstream wants the body. From then on the client is read until so much waits
/// that it is enough, and again when little is left.
struct UploadWindow {
    /// Bytes that may wait before the client is not read any more.
    static let maxWaitingBytes = 256 << 10
    /// Bytes that are left when the client is read again.
    static let resumesAtBytes = 64 << 10

    /// Bytes that wait.
    private(set) var waitingBytes = 0
    /// Whether the client is to be read.
    private(set) var isFlowing = false
    private var hasBegun = false
    private var hasEnded = false

    /// Whether the upstream waits for the client, and not the other way round.
    var isStarved: Bool { hasBegun && !hasEnded && waitingBytes == 0 }

    /// Takes note of a piece that the client has sent.
    mutating func offered(_ bytes: Int) {
        waitingBytes += bytes
        if waitingBytes >= Self.maxWaitingBytes { isFlowing = false }
    }

    /// Takes note of the bytes that the upstream's connection has taken; with the first news it wants the body.
    mutating func taken(_ bytes: Int) {
        hasBegun = true
        waitingBytes -= bytes
        assert(waitingBytes >= 0)
        if waitingBytes <= Self.resumesAtBytes { isFlowing = true }
    }

    /// Takes note of the body's end.
    mutating func ended() { hasEnded = true }
}
