extension FaultPlan {
    /// The number of rules that a plan may have.
    static let ruleLimit = 10_000
    /// The longest latency, and the longest jitter, that may be asked for: a day.
    static let latencyLimitMilliseconds = 86_400_000

    /// Changes what a JSON object names and leaves the rest; null switches a fault off.
    ///
    /// Nothing is changed where anything in the object is wrong.
    mutating func apply(_ json: JSONValue?) throws(FaultSyntaxError) {
        guard case .object(let members) = json else { throw FaultSyntaxError("a JSON object is expected") }
        var changed = self
        for (name, value) in members.sorted(by: { $0.key < $1.key }) {
            switch name {
            case "mode":
                guard case .string(let text) = value, let mode = FaultMode(rawValue: text) else {
                    throw FaultSyntaxError("'mode' must be up, down or black-hole")
                }
                changed.set(mode: mode)
            case "latency_ms":
                changed.set(latencyMilliseconds: try Self.milliseconds(value, name))
            case "latency_jitter_ms":
                changed.set(latencyJitterMilliseconds: try Self.milliseconds(value, name))
            default:
                guard let kind = FaultEffect.Kind(rawValue: name) else {
                    throw FaultSyntaxError("'\(name)' is not a fault")
                }
                changed.set(try Self.rules(value, kind), of: kind)
            }
        }
        guard changed.rules.count <= Self.ruleLimit else {
            throw FaultSyntaxError("there may be at most \(Self.ruleLimit) rules")
        }
        self = changed
    }

    /// The plan as it stands, counts used up so far taken off.
    var json: JSONValue {
        var members: [String: JSONValue] = [
            "mode": .string(mode.rawValue),
            "latency_ms": .integer(latencyMilliseconds),
            "latency_jitter_ms": .integer(latencyJitterMilliseconds),
        ]
        for kind in FaultEffect.Kind.allCases {
            members[kind.rawValue] = .array(rules.filter { $0.effect.kind == kind }.map(\.json))
        }
        return .object(members)
    }

    private static func milliseconds(_ value: JSONValue, _ name: String) throws(FaultSyntaxError) -> Int {
        if value == .null { return 0 }
        guard case .integer(let number) = value, (0...latencyLimitMilliseconds).contains(number) else {
            throw FaultSyntaxError("'\(name)' must be an integer from 0 to \(latencyLimitMilliseconds)")
        }
        return number
    }

    /// null and false are no rule, true is one without bounds, an object is one, a list is several.
    private static func rules(
        _ value: JSONValue,
        _ kind: FaultEffect.Kind
    ) throws(FaultSyntaxError) -> [FaultRule] {
        switch value {
        case .null, .bool(false): return []
        case .bool(true): return [try FaultRule([:], kind)]
        case .object(let members): return [try FaultRule(members, kind)]
        case .array(let elements):
            var rules: [FaultRule] = []
            for element in elements {
                guard case .object(let members) = element else {
                    throw FaultSyntaxError("'\(kind.rawValue)' must be a list of objects")
                }
                rules.append(try FaultRule(members, kind))
            }
            return rules
        case .integer, .number, .string:
            throw FaultSyntaxError("'\(kind.rawValue)' must be an object, a list of objects, true or null")
        }
    }
}
