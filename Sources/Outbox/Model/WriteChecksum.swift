import DexatelAPI
import NIOCore

/// Notices a write that is not what was accepted: bits of a disk do rot.
///
/// 64 bits over target, headers, body, key, contact, method and name. Each step is a bijection, so that a change within eight bytes is
/// always noticed, and any other but for one in 2^64. It is no protection against somebody who can write to the file.
struct WriteChecksum: Sendable, Equatable {
    private var state: UInt64 = 0x243F_6A88_85A3_08D3

    /// Takes what is sent, which is known before the write has a place.
    init(target: String, headerText: String, body: ByteBuffer) {
        Self.withBytes(target) { add($0) }
        Self.withBytes(headerText) { add($0) }
        body.withUnsafeReadableBytes { add($0) }
    }

    /// The sum of a write, as it is stored.
    func sum(_ id: WriteID, _ contact: ContactReference, keyRow: Int64, _ method: WriteMethod) -> Int64 {
        var whole = self
        for number in [id.sequence, id.nonce, keyRow, method.rawValue] { whole.add(UInt64(bitPattern: number)) }
        contact.bytes.withUnsafeBytes { whole.add($0) }
        return Int64(bitPattern: whole.state)
    }

    private static func withBytes(_ text: String, _ body: (UnsafeRawBufferPointer) -> Void) {
        var text = text
        text.withUTF8 { body(UnsafeRawBufferPointer($0)) }
    }

    private mutating func add(_ word: UInt64) {
        state = (state ^ word) &* 0x9E37_79B9_7F4A_7C15
        state ^= state >> 29
    }

    private mutating func add(_ bytes: UnsafeRawBufferPointer) {
        add(UInt64(bytes.count))
        var offset = 0
        while offset + 8 <= bytes.count {
            add(bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
            offset += 8
        }
        guard offset < bytes.count else { return }
        var last: UInt64 = 0
        for byte in bytes[offset...] { last = last << 8 | UInt64(byte) }
        add(last)
    }
}
