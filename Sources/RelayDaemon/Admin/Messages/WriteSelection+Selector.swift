import AdminAPI
import DexatelAPI
import NIOHTTP1
import Outbox

/// What operators ask for, as the outbox takes it.
extension WriteSelection {
    init(_ selector: WriteSelector) throws(AdminProblem) {
        self.init()
        for name in selector.states ?? [] {
            guard let state = WriteState(rawValue: name) else {
                let names = WriteSelector.allStates.joined(separator: ", ")
                throw AdminProblem(.badRequest, "bad_selector", "there is no state \(name); there are \(names)")
            }
            states.insert(state)
        }
        let names = selector.ids ?? []
        guard names.count <= WriteSelector.maxIDs else {
            let text = "a selector takes \(WriteSelector.maxIDs) ids at most"
            throw AdminProblem(.payloadTooLarge, "too_many_ids", text)
        }
        for name in names {
            guard let id = WriteID(name) else {
                throw AdminProblem(.badRequest, "bad_selector", "\(name) is not the id of a write")
            }
            ids.append(id)
        }
        if let name = selector.contact { contact = try ContactReference(name) }
        if let name = selector.audienceId {
            guard let value = UUIDText.parse(name.utf8) else {
                throw AdminProblem(.badRequest, "bad_selector", "\(name) is not the UUID of an audience")
            }
            audience = value
        }
        if let prefix = selector.keyFingerprint {
            guard !prefix.isEmpty, prefix.utf8.allSatisfy(\.isHexadecimalDigit) else {
                throw AdminProblem(
                    .badRequest,
                    "bad_selector",
                    "a fingerprint is hexadecimal digits, or the first of them"
                )
            }
            keyFingerprintPrefix = prefix
        }
        if let age = selector.olderThanMilliseconds, age < 0 {
            throw AdminProblem(.badRequest, "bad_selector", "older_than_milliseconds is 0 or more")
        }
        olderThanMilliseconds = selector.olderThanMilliseconds
        status = selector.status
        errorCode = selector.errorCode
    }
}

extension UInt8 {
    fileprivate var isHexadecimalDigit: Bool {
        switch self {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"),
            UInt8(ascii: "A")...UInt8(ascii: "F"):
            true
        default: false
        }
    }
}

extension ContactReference {
    init(_ name: ContactName) throws(AdminProblem) {
        guard let contact = ContactReference(audience: name.audienceId, contact: name.contactId) else {
            throw AdminProblem(.badRequest, "bad_contact", "\(name) does not name a contact by two UUIDs")
        }
        self = contact
    }
}

extension ContactName {
    init(_ contact: ContactReference) {
        self.init(audienceId: contact.audienceText, contactId: contact.contactText)
    }
}
