import AdminAPI
import DexatelAPI
import Foundation
import NIOCore
import NIOHTTP1
import Outbox
import Upstream

/// Lets a new API key take over what is pending of another, once the upstream has taken the new one for a contact of the
/// queue, and it is of the same account where that is known (design §8).
struct KeyReplacement: Sendable {
    /// Pages of receipts in which the old key's account is looked for at most.
    private static let maxReceiptPages = 8

    let outbox: Outbox
    let client: UpstreamClient
    let upstreamHealth: UpstreamHealth

    /// - Parameter contact: The contact to try the key with; one of the old key's, found here when it is nil.
    func replace(
        _ fingerprint: String,
        by secret: Secret,
        _ contact: ContactReference?
    ) async throws -> KeyReplacementReply {
        do {
            let candidate = try await outbox.candidateContact(ofKey: fingerprint)
            guard let contact = try await chosen(contact, of: fingerprint) ?? candidate else {
                throw AdminProblem(
                    .conflict,
                    "no_contact",
                    "no pending, held or dead write of this key was found to try the new one with; name a contact that it "
                        + "has one for (--contact)"
                )
            }
            let account = try await account(of: secret, contact)
            let known = try await knownAccount(ofKey: fingerprint)
            if let account, let known, account != known {
                throw AdminProblem(
                    .conflict,
                    "other_account",
                    "the new key belongs to another account than the old one; nothing was changed"
                )
            }
            try await outbox.replaceKey(fingerprint, by: secret)
            return KeyReplacementReply(
                fingerprint: outbox.keys.key(for: secret).fingerprint.hexadecimal,
                contact: ContactName(contact),
                accountCompared: account != nil && known != nil
            )
        } catch let fault as KeyReplacementFault {
            throw Self.problem(fault)
        }
    }

    /// The contact that an operator has named, if the key has writes for it.
    private func chosen(_ contact: ContactReference?, of fingerprint: String) async throws -> ContactReference? {
        guard let contact else { return nil }
        var selection = WriteSelection(states: [.pending, .inFlight, .held, .dead])
        (selection.contact, selection.keyFingerprintPrefix) = (contact, fingerprint)
        var after: Int64? = 0
        while let sequence = after {
            let page = try await outbox.list(selection, after: sequence, limit: 1)
            if !page.writes.isEmpty { return contact }
            after = page.next
        }
        throw AdminProblem(
            .conflict,
            "no_contact",
            "this key has no pending, held or dead write for \(contact.audienceText)/\(contact.contactText)"
        )
    }

    /// Asks the upstream for a contact with the new key; its account, where the reply says it.
    private func account(of secret: Secret, _ contact: ContactReference) async throws -> String? {
        let permit: Permit
        switch upstreamHealth.mayStart(origin: UpstreamDelivery.origin(contact), traffic: .passThrough) {
        case .go(let given): permit = given
        case .refused, .saturated:
            throw AdminProblem(
                .serviceUnavailable,
                "upstream_unreachable",
                "the upstream is down, so that the new key cannot be tried; nothing was changed"
            )
        }
        var headers: HTTPHeaders = ["Accept": "application/json"]
        HeaderHygiene.addRequestVia(&headers)
        let request = UpstreamRequest(
            method: "GET",
            target: contact.path,
            headers: headers,
            apiKey: secret
        )
        let result = await client.send(request)
        switch result {
        case .success(let reply):
            upstreamHealth.ended(permit, result.signal)
            guard reply.status == 200 else { throw Self.refusal(reply.status, contact) }
            return Self.account(in: Array(reply.body.readableBytesView))
        case .failure(let failure):
            upstreamHealth.ended(permit, failure.signal, error: failure.description)
            throw AdminProblem(
                .serviceUnavailable,
                "upstream_unreachable",
                "the new key could not be tried (\(failure)); nothing was changed"
            )
        }
    }

    private static func refusal(_ status: Int, _ contact: ContactReference) -> AdminProblem {
        let name = "\(contact.audienceText)/\(contact.contactText)"
        return switch status {
        case 401, 403:
            AdminProblem(
                .unprocessableEntity,
                "key_refused",
                "the upstream refuses the new key for contact \(name) with \(status); nothing was changed"
            )
        case 500...:
            AdminProblem(
                .serviceUnavailable,
                "upstream_failed",
                "the upstream answered \(status) when the new key was tried; nothing was changed"
            )
        default:
            AdminProblem(
                .unprocessableEntity,
                "key_not_confirmed",
                "the upstream answered \(status) for contact \(name) with the new key, which proves nothing; nothing was "
                    + "changed. Name another contact of the old key (--contact)"
            )
        }
    }

    /// The account of a key, as replies to its delivered writes say it.
    private func knownAccount(ofKey fingerprint: String) async throws -> String? {
        var selection = WriteSelection(states: [.delivered])
        selection.keyFingerprintPrefix = fingerprint
        var after: Int64? = 0
        for _ in 0..<Self.maxReceiptPages {
            guard let sequence = after else { return nil }
            let page = try await outbox.list(selection, after: sequence, limit: Outbox.maxPageWrites)
            for write in page.writes {
                if let body = write.receipt.responseBody, let account = Self.account(in: body) { return account }
            }
            after = page.next
        }
        return nil
    }

    private static func account(in body: [UInt8]) -> String? {
        struct Reply: Decodable {
            struct Contact: Decodable { var accountId: String? }
            var data: Contact?
        }
        return try? AdminJSON.decode(Reply.self, from: Data(body)).data?.accountId?.lowercased()
    }

    private static func problem(_ fault: KeyReplacementFault) -> AdminProblem {
        switch fault {
        case .unknownKey:
            AdminProblem(
                .notFound,
                "unknown_key",
                "the queue refers to no key with this fingerprint that was not replaced: see key list"
            )
        case .ambiguousFingerprint:
            AdminProblem(
                .conflict,
                "ambiguous_key",
                "more than one key has a fingerprint that begins so; give more of it"
            )
        case .alreadyReplaced: AdminProblem(.conflict, "already_replaced", "this key was replaced already")
        case .unusableSuccessor:
            AdminProblem(
                .conflict,
                "unusable_key",
                "the new key is the old one, or was itself replaced by another; nothing was changed"
            )
        case .storage(let error):
            AdminProblem(.serviceUnavailable, "outbox_unavailable", "the outbox cannot be written: \(error)")
        }
    }
}
