import DexatelAPI
import Foundation

/// The queue as lines that another outbox takes (design §2.2).
extension Outbox {
    /// A part of an export: the writes of a selection that could still be sent.
    package struct ExportPage: Sendable {
        /// The writes, in the order of sequence.
        package var writes: [ExportedWrite]
        /// Where to go on; nil when nothing more is there.
        package var next: Int64?
    }

    /// The writes of a selection with all that is needed to send them; those that have ended and are not dead are left
    /// out.
    package func export(
        _ selection: WriteSelection,
        after sequence: Int64 = 0,
        limit: Int = Outbox.maxPageWrites
    ) async throws -> ExportPage {
        var selection = selection
        let exportable: Set<WriteState> = [.pending, .inFlight, .held, .dead]
        selection.states = selection.states.isEmpty ? exportable : selection.states.intersection(exportable)
        guard !selection.states.isEmpty else { return ExportPage(writes: [], next: nil) }
        let page = try await list(selection, after: sequence, limit: limit)
        let writes = try await engine.reader.exports(page.writes.map(\.receipt.id.sequence))
        return ExportPage(writes: writes, next: page.next)
    }

    /// Takes exported writes in, at the end of the queue, in their order; they count as accepted.
    ///
    /// All of them or, with an `ImportFault`, none; at most `maxPageWrites` at a time.
    package func importWrites(_ exported: [ExportedWrite]) async throws -> [WriteID] {
        guard exported.count <= Self.maxPageWrites else { throw ImportFault.unreadable }
        let entries = try exported.map(entry)
        var admitted: [(key: KnownKey, bytes: Int)] = []
        do {
            for entry in entries {
                let bytes = entry.payload.storedBytes
                if let reason = admit(key: entry.key, bytes: bytes) { throw ImportFault.unavailable(reason) }
                admitted.append((entry.key, bytes))
            }
            let ids: [WriteID] = try await perform { done in
                ImportWrites(entries: entries, sink: UnheardAnswers(), done: done)
            }
            // The books have them now.
            release(admittedBytes: admitted.map(\.bytes))
            return ids
        } catch {
            for (key, _) in admitted { keys.release(key) }
            release(admittedBytes: admitted.map(\.bytes))
            throw (error as? OutboxError).map(ImportFault.storage) ?? error
        }
    }

    private func entry(_ exported: ExportedWrite) throws -> ImportWrites.Entry {
        guard exported.version == ExportedWrite.currentVersion,
            let contact = ContactReference(audience: exported.audience, contact: exported.contact),
            let method = WriteMethod(name: exported.method)
        else { throw ImportFault.unreadable }
        // In origin form, and nothing in it that could not have come in over HTTP (RFC 9112 §3.2).
        guard exported.target.utf8.first == UInt8(ascii: "/"),
            exported.target.utf8.allSatisfy({ (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "#") }),
            RequestTarget.classify(exported.target) == .contact(contact)
        else { throw ImportFault.targetElsewhere(id: exported.id) }
        guard let sealed = exported.sealedKey, Array(exported.masterKey) == keys.vault.masterKeyIdentifier,
            let secret = try? keys.vault.open(Array(sealed), fingerprint: KeyFingerprint(exported.keyFingerprint))
        else { throw ImportFault.keySealed }
        guard APIKeySyntax.admits(secret.bytes) else { throw ImportFault.keyMalformed(id: exported.id) }
        return ImportWrites.Entry(
            contact: contact,
            method: method,
            payload: exported.payload,
            key: keys.key(for: secret)
        )
    }
}
