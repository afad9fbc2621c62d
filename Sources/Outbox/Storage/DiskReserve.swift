import DexatelAPI
import Glibc

/// Room on the disk that is kept for the outcomes of deliveries: when the disk is full it is given up, so that what is under way
/// can be recorded, and nothing more is sent until it is there again.
struct DiskReserve {
    static let name = "outbox.reserve"
    /// Enough for what is under way, and to open an outbox.
    static let bytes = 1 << 20
    /// What opening takes besides: the shared memory and the first pages of a log.
    static let openingBytes = 256 << 10

    let path: String
    /// Whether all of it is there.
    private(set) var isWhole = false

    init(path: String) { self.path = path }

    /// Takes the room, if there is as much; whether there was.
    mutating func fill() -> Bool {
        isWhole = (try? AllocatedFile(path: path, bytes: Self.bytes)) != nil
        // What was allocated of it is of no use without the rest, and would be missed elsewhere.
        if !isWhole { truncate(path, 0) }
        return isWhole
    }

    /// Gives the room up; false if it was given up already.
    mutating func release() -> Bool {
        defer { isWhole = false }
        truncate(path, 0)
        return isWhole
    }

    /// Whether a disk with so many free bytes has room for an outbox that is to be opened; the reserve is given up meanwhile.
    static func allowsOpening(freeBytes: Int64) -> Bool { freeBytes >= Int64(bytes + openingBytes) }
}
