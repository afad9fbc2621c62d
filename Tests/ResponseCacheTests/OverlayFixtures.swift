import DexatelAPI
import Foundation
import ResponseCache

/// Short forms for the overlay's tests.
enum Overlay {
    static let contact = ContactReference(
        audience: 0x2208_9FD7_7B74_4815_8452_3A8E_864A_FFBC,
        contact: 0xFE84_F52D_D05E_4AF6_B93A_08DC_0110_F536
    )

    static func put(_ sequence: Int64, _ data: String, delivered: Bool = false) -> PendingChange {
        let body = Array(#"{"data":\#(data)}"#.utf8)
        guard
            let change = body.withUnsafeBytes({
                PendingChange(sequence: sequence, putBody: $0, isDelivered: delivered)
            })
        else { preconditionFailure("a test's own body is at fault: \(data)") }
        return change
    }

    static func delete(_ sequence: Int64, delivered: Bool = false) -> PendingChange {
        PendingChange(sequence: sequence, effect: .delete, isDelivered: delivered)
    }

    static func render(
        _ base: [UInt8],
        _ changes: [PendingChange],
        _ semantics: PutSemantics = .merge
    ) -> ContactOverlay.Result {
        base.withUnsafeBytes {
            ContactOverlay.render(base: $0, contact: contact, changes: changes, semantics: semantics)
        }
    }

    /// The rendered text of a contact whose base is a text; nil where nothing was rendered.
    static func text(_ base: String, _ changes: [PendingChange], _ semantics: PutSemantics = .merge) -> String? {
        guard case .replaced(let body, _, _) = render(Array(base.utf8), changes, semantics) else { return nil }
        return String(decoding: body, as: UTF8.self)
    }

    static func renderList(
        _ base: String,
        _ changes: [UInt128: [PendingChange]],
        _ semantics: PutSemantics = .merge
    ) -> ContactListOverlay.Result {
        Array(base.utf8).withUnsafeBytes {
            ContactListOverlay.render(base: $0, changes: changes, semantics: semantics)
        }
    }

    static func applyReply(_ base: String, _ reply: String) -> String? {
        let body = Array(base.utf8).withUnsafeBytes { base in
            Array(reply.utf8).withUnsafeBytes { ContactOverlay.applyReply(base: base, reply: $0) }
        }
        return body.map { String(decoding: $0, as: UTF8.self) }
    }

    /// What Foundation reads in a JSON object.
    static func object(_ bytes: some Sequence<UInt8>) -> NSDictionary? {
        (try? JSONSerialization.jsonObject(with: Data(bytes))) as? NSDictionary
    }

    /// What Foundation reads in any JSON value.
    static func value(_ text: String) throws -> Any {
        try JSONSerialization.jsonObject(with: Data(text.utf8), options: .fragmentsAllowed)
    }

    static func isJSONObject(_ body: [UInt8]) -> Bool { body.withUnsafeBytes { JSONDocument.isObject($0) } }
}
