import FoundationEssentials

extension ContactChange {
    /// Why a body cannot be read, in words for the client's developer.
    struct Unreadable: Error, Equatable {
        let message: String
    }

    /// Reads a request's body.
    static func read(_ body: [UInt8]) throws(Unreadable) -> ContactChange {
        do {
            return try JSONDecoder().decode(ContactChange.self, from: Data(body))
        } catch DecodingError.typeMismatch(_, let context), DecodingError.valueNotFound(_, let context) {
            throw Unreadable(message: describe(context.codingPath))
        } catch {
            throw Unreadable(message: "The body is not valid JSON")
        }
    }

    private static func describe(_ path: [any CodingKey]) -> String {
        let names = path.filter { $0.intValue == nil }.map(\.stringValue)
        return switch names.count {
        case 0: "The body must be a JSON object"
        case 1: "'data' must be a JSON object"
        default: names[1] == "tags" ? "'data.tags' must be a list of strings" : "'data.\(names[1])' must be a string"
        }
    }
}
