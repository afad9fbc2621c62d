import DexatelAPI

@testable import dexatel_simulator

/// Requests and settings that the suites share.
enum Samples {
    static let audience = UUIDText.text(SimulatorSettings.seedAudience)
    static let contact = UUIDText.text(SimulatorSettings.seedContact)
    static let unknown = "00000000-0000-4000-8000-000000000001"
    static let contactPath = "/v1/audiences/\(audience)/contacts/\(contact)"
    static let unknownPath = "/v1/audiences/\(audience)/contacts/\(unknown)"
    static let listPath = "/v1/audiences/\(audience)/contacts"
    /// 2026-01-02 03:04:05 UTC.
    static let nowMilliseconds: Int64 = 1_767_323_045_678

    static func state(_ change: (inout SimulatorSettings) -> Void = { _ in }) -> SimulatorState {
        SimulatorState(settings: settings(change))
    }

    static func settings(_ change: (inout SimulatorSettings) -> Void = { _ in }) -> SimulatorSettings {
        var settings = SimulatorSettings(seedContactCount: 3)
        change(&settings)
        return settings
    }

    static func request(
        _ method: String,
        _ target: String,
        _ body: String = "",
        key: String? = "key-1",
        contentType: String? = "application/json",
        ifNoneMatch: String? = nil,
        isBodyTooLarge: Bool = false
    ) -> SimulatorRequest {
        SimulatorRequest(
            method: method,
            target: target,
            host: "upstream.test",
            key: key,
            contentType: contentType,
            ifNoneMatch: ifNoneMatch,
            body: Array(body.utf8),
            isBodyTooLarge: isBodyTooLarge,
            receivedMilliseconds: nowMilliseconds
        )
    }
}

extension JSONValue {
    /// A member of an object, or nil.
    subscript(name: String) -> JSONValue? {
        if case .object(let members) = self { members[name] } else { nil }
    }

    /// An element of a list, or nil.
    subscript(index: Int) -> JSONValue? {
        if case .array(let elements) = self, elements.indices.contains(index) { elements[index] } else { nil }
    }

    var elements: [JSONValue]? {
        if case .array(let elements) = self { elements } else { nil }
    }

    var string: String? {
        if case .string(let text) = self { text } else { nil }
    }

    var integer: Int? {
        if case .integer(let number) = self { number } else { nil }
    }
}

extension SimulatorReply {
    var json: JSONValue? { JSONValue(parsing: body) }
    var data: JSONValue? { json?["data"] }
    /// The code of the first error in the upstream's shape.
    var errorCode: Int? { json?["errors"]?[0]?["code"]?.integer }
}
