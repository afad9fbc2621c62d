import DequeModule
import NIOCore

/// The body of a reply while it arrives, for readers at several places in it.
struct SharedBody {
    /// Shorter pieces are joined with the one before them, so that a body that dribbles does not take more memory than it is
    /// long.
    static let smallBytes = 1024
    /// A piece that is this long gets nothing added.
    static let fullBytes = 16 << 10

    private var pieces: Deque<ByteBuffer> = []
    /// The position of the first byte that is still here.
    private(set) var start = 0
    /// The position behind the last byte that has come.
    private(set) var end = 0

    /// Takes the next bytes.
    mutating func append(_ bytes: ByteBuffer) {
        guard bytes.readableBytes > 0 else { return }
        end += bytes.readableBytes
        if bytes.readableBytes < Self.smallBytes, let last = pieces.indices.last,
            pieces[last].readableBytes < Self.fullBytes
        {
            pieces[last].writeImmutableBuffer(bytes)
        } else {
            pieces.append(bytes)
        }
    }

    /// Bytes from a position on, as many as lie together; nil where nothing has come yet, or is here no longer.
    func bytes(from position: Int) -> ByteBuffer? {
        guard position >= start, position < end else { return nil }
        var pieceStart = end
        for piece in pieces.reversed() {
            pieceStart -= piece.readableBytes
            guard pieceStart <= position else { continue }
            let offset = position - pieceStart
            return piece.getSlice(at: piece.readerIndex + offset, length: piece.readableBytes - offset)
        }
        return nil
    }

    /// Lets go of the pieces before a position.
    mutating func drop(before position: Int) {
        while let first = pieces.first, start + first.readableBytes <= position {
            start += first.readableBytes
            pieces.removeFirst()
        }
    }

    /// All of it that is still here, in one piece.
    var whole: ByteBuffer {
        if pieces.count == 1, let only = pieces.first { return only }
        var whole = ByteBufferAllocator().buffer(capacity: end - start)
        for piece in pieces { whole.writeImmutableBuffer(piece) }
        return whole
    }
}
