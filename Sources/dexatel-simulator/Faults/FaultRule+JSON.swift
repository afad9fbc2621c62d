import DexatelAPI

extension FaultRule {
    /// Reads a rule of a kind; a member that the kind does not have is an error.
    init(_ members: [String: JSONValue], _ kind: FaultEffect.Kind) throws(FaultSyntaxError) {
        var reader = RuleReader(members, kind)
        switch kind {
        case .status:
            guard let status = try reader.integer("status", in: 200...599) else {
                throw FaultSyntaxError("a rule of 'status' needs 'status'")
            }
            let fault = StatusFault(
                status: status,
                code: try reader.integer("code", in: 0...Int.max) ?? 0,
                retryAfter: try reader.text("retry_after"),
                body: reader.any("body")
            )
            effect = .status(fault)
        case .redirect:
            guard let location = try reader.text("location") else {
                throw FaultSyntaxError("'redirect' needs 'location'")
            }
            effect = .redirect(status: try reader.integer("status", in: 300...399) ?? 302, location: location)
        case .maintenancePage: effect = .maintenancePage
        case .garbage: effect = .garbage
        case .resetAfterApply: effect = .resetAfterApply
        case .resetMidReply: effect = .resetMidReply
        case .slowBody:
            guard let pace = try reader.integer("bytes_per_second", in: 1...1_000_000_000) else {
                throw FaultSyntaxError("'slow_body' needs 'bytes_per_second'")
            }
            effect = .slowBody(bytesPerSecond: pace)
        }
        remaining = try reader.integer("count", in: 0...Int.max)
        contact = try reader.identifier("contact")
        key = try reader.text("key")
        method = try reader.text("method")
        try reader.finish()
    }

    /// The rule as it can be put again; `count` is what remains of it.
    var json: JSONValue {
        var members: [String: JSONValue] = ["count": remaining.map { .integer($0) } ?? .null]
        if let contact { members["contact"] = .string(UUIDText.text(contact)) }
        if let key { members["key"] = .string(key) }
        if let method { members["method"] = .string(method) }
        switch effect {
        case .status(let fault):
            members["status"] = .integer(fault.status)
            if fault.code != 0 { members["code"] = .integer(fault.code) }
            if let retryAfter = fault.retryAfter { members["retry_after"] = .string(retryAfter) }
            if let body = fault.body { members["body"] = body }
        case .redirect(let status, let location):
            members["status"] = .integer(status)
            members["location"] = .string(location)
        case .slowBody(let pace):
            members["bytes_per_second"] = .integer(pace)
        case .maintenancePage, .garbage, .resetAfterApply, .resetMidReply, .blackHole:
            break
        }
        return .object(members)
    }
}

/// Takes members out of an object until none must be left; null counts as missing.
private struct RuleReader {
    private var members: [String: JSONValue]
    private let kind: FaultEffect.Kind

    init(_ members: [String: JSONValue], _ kind: FaultEffect.Kind) {
        self.members = members
        self.kind = kind
    }

    mutating func any(_ name: String) -> JSONValue? {
        let value = members.removeValue(forKey: name)
        return value == .null ? nil : value
    }

    /// A string; a number is taken for one, as in `"retry_after": 2`.
    mutating func text(_ name: String) throws(FaultSyntaxError) -> String? {
        switch any(name) {
        case nil: return nil
        // A line break would end the header field that the text may become.
        case .string(let text) where !text.utf8.contains(where: { $0 < 0x20 }): return text
        case .integer(let number): return "\(number)"
        default: throw FaultSyntaxError("'\(kind.rawValue)': '\(name)' must be a string")
        }
    }

    mutating func integer(_ name: String, in range: ClosedRange<Int>) throws(FaultSyntaxError) -> Int? {
        guard let value = any(name) else { return nil }
        guard case .integer(let number) = value, range.contains(number) else {
            throw FaultSyntaxError("'\(kind.rawValue)': '\(name)' must be an integer in \(range)")
        }
        return number
    }

    mutating func identifier(_ name: String) throws(FaultSyntaxError) -> UInt128? {
        guard let text = try text(name) else { return nil }
        guard let value = UUIDText.parse(text.utf8) else {
            throw FaultSyntaxError("'\(kind.rawValue)': '\(name)' must be a UUID")
        }
        return value
    }

    func finish() throws(FaultSyntaxError) {
        if let name = members.keys.min() {
            throw FaultSyntaxError("'\(kind.rawValue)' has no member '\(name)'")
        }
    }
}
