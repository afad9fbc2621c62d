import DexatelAPI
import NIOCore

/// Whether a write that was out of order may be sent after all (design §3.3).
///
/// It may if nothing that was accepted later was delivered to its contact meanwhile; where the upstream merges, the
/// fields that were set since are left out, and the rest is sent.
enum ReplayRule: Sendable, Equatable {
    /// Send it as it is.
    case asItIs
    /// Send this instead: the fields that were set since are left out.
    case without(WritePayload, FieldSet)
    /// All that it would set was set since: there is nothing left to send.
    case nothingLeft(by: Int64)
    /// Something later was delivered: not without an operator's word.
    case overtaken

    static func judge(
        sequence: Int64,
        method: WriteMethod,
        payload: WritePayload,
        order: ContactOrder?,
        semantics: PutSemantics,
        isForced: Bool
    ) -> ReplayRule {
        guard !isForced, let order, order.last > sequence else { return .asItIs }
        guard semantics == .merge, method == .put, order.whole <= sequence else { return .overtaken }
        guard let update = payload.checkedUpdate, !update.hasOtherMembers,
            !payload.target.utf8.contains(UInt8(ascii: "?"))
        else { return .overtaken }
        let kept = update.members.filter { !order.wasSet($0.name, after: sequence) }
        if kept.count == update.members.count { return .asItIs }
        guard !kept.isEmpty else {
            return .nothingLeft(by: update.members.map { order.lastSet($0.name) }.max() ?? order.last)
        }
        guard let fields = FieldSet(names: kept.map(\.name)) else { return .overtaken }
        var rewritten = payload
        rewritten.body = body(of: kept, in: payload.body)
        return .without(rewritten, fields)
    }

    /// An Update with some members of another, whose values stay byte for byte.
    private static func body(of members: [ContactUpdate.Member], in body: ByteBuffer) -> ByteBuffer {
        let original = body.readableBytesView
        var bytes = Array(#"{"data":{"#.utf8)
        for (index, member) in members.enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: ",")) }
            JSONText.appendQuoted(member.name, to: &bytes)
            bytes.append(UInt8(ascii: ":"))
            let start = original.index(original.startIndex, offsetBy: member.value.lowerBound)
            bytes += original[start..<original.index(start, offsetBy: member.value.count)]
        }
        bytes += Array("}}".utf8)
        return ByteBuffer(bytes: bytes)
    }
}
