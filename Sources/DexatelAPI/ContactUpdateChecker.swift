/// Walks one body; faults of meaning wait until the whole text has turned out to be JSON.
struct ContactUpdateChecker {
    /// One allocation serves an update of all known fields.
    private static let usualMemberCount = 4

    private let limits: ContactFieldLimits
    private(set) var members: [ContactUpdate.Member] = []
    private(set) var hasOtherMembers = false
    private var isObject = false
    private var dataIsNotAnObject = false
    private var notAString: ContactField?
    private var tooLong: ContactField?

    init(limits: ContactFieldLimits) {
        self.limits = limits
    }

    var fault: ContactUpdateFault? {
        if !isObject { return .notAnObject }
        if dataIsNotAnObject { return .dataNotAnObject }
        if let notAString { return .fieldNotAString(notAString) }
        return tooLong.map { .fieldTooLong($0, limit: limits[$0]) }
    }

    mutating func read(_ body: UnsafeRawBufferPointer) throws(JSONFault) {
        var reader = JSONReader(body, maxNesting: ContactUpdate.maxNesting, refusesDuplicates: true)
        isObject = reader.isAtObject
        if isObject {
            try reader.readObject { name, reader throws(JSONFault) in
                if reader.isName(name, "data") {
                    try readData(&reader)
                } else {
                    hasOtherMembers = true
                    _ = try reader.skipValue()
                }
            }
        } else {
            _ = try reader.skipValue()
        }
        try reader.finish()
    }

    private mutating func readData(_ reader: inout JSONReader) throws(JSONFault) {
        guard reader.isAtObject else {
            dataIsNotAnObject = true
            _ = try reader.skipValue()
            return
        }
        try reader.readObject { name, reader throws(JSONFault) in
            let field = ContactField(name, in: reader)
            // A known name is a constant: only others are decoded.
            let text = field?.rawValue ?? reader.string(of: name)
            let value = try reader.skipValue()
            if members.isEmpty { members.reserveCapacity(Self.usualMemberCount) }
            members.append(ContactUpdate.Member(name: text, value: value.range))
            if let field { judge(value.kind, of: field) }
        }
    }

    private mutating func judge(_ kind: JSONValue.Kind, of field: ContactField) {
        switch kind {
        case .null:
            break
        case .string(let scalarCount):
            if scalarCount > limits[field], tooLong == nil { tooLong = field }
        case .number, .boolean, .object, .array:
            if notAString == nil { notAString = field }
        }
    }
}
