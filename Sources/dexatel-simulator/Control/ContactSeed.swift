import DexatelAPI
import FoundationEssentials

/// The body of `POST /contacts`: contacts that are to be there, or how many.
struct ContactSeed: Decodable {
    private struct Contact: Decodable {
        let id: String?
        let change: ContactChange

        private enum Key: String, CodingKey { case id }

        init(from decoder: any Decoder) throws {
            id = try decoder.container(keyedBy: Key.self).decodeIfPresent(String.self, forKey: .id)
            change = try ContactChange(fields: decoder)
        }
    }

    private let audienceID: String
    private let contacts: [Contact]?
    private let count: Int?

    private enum CodingKeys: String, CodingKey {
        case audienceID = "audience_id"
        case contacts
        case count
    }

    /// The number of contacts that one call may make by count.
    static let countLimit = 1_000_000

    /// Stores what a request describes, over what is there, without the API's limits; all or nothing.
    static func store(_ request: SimulatorRequest, in state: inout SimulatorState) -> SimulatorReply {
        guard let seed = try? JSONDecoder().decode(ContactSeed.self, from: Data(request.body)),
            let audience = UUIDText.parse(seed.audienceID.utf8), (0...countLimit).contains(seed.count ?? 0)
        else {
            return ControlRouter.problem(
                400,
                "expected: audience_id (a UUID), and contacts (a list) or count (up to \(countLimit))"
            )
        }
        var stored: [StoredContact] = []
        for contact in seed.contacts ?? [] {
            let id =
                contact.id.map { UUIDText.parse($0.utf8) }
                ?? contact.change.number.map { DerivedIdentifier.created(number: $0, in: audience) }
            guard let id else {
                return ControlRouter.problem(400, "every contact needs an id (a UUID) or a number")
            }
            let reference = ContactReference(audience: audience, contact: id)
            var entry = StoredContact(reference, createdSeconds: request.receivedSeconds)
            entry.apply(contact.change, semantics: .merge, atSeconds: request.receivedSeconds)
            stored.append(entry)
        }
        state.fill(audience, count: seed.count ?? 0)
        for contact in stored { state.store(contact) }
        let result: JSONValue = .object([
            "stored": .integer(stored.count + (seed.count ?? 0)),
            "total": .integer(state.audiences[audience]?.count ?? 0),
        ])
        return SimulatorReply(status: 201, json: result.text)
    }
}
