/// One complete request, as far as the simulator looks at it.
struct SimulatorRequest: Sendable {
    let method: String
    /// The raw request target, query included.
    let target: String
    /// The resource that the target names; nil for a path that the API does not have.
    let route: APIRoute?
    /// The value of `Host`, from which links in replies are built.
    var host: String?
    /// The value of `X-Dexatel-Key`; nil where it is missing or empty.
    var key: String?
    var contentType: String?
    var ifNoneMatch: String?
    /// Empty where the body went over the limit.
    var body: [UInt8]
    var isBodyTooLarge: Bool
    /// Wall-clock time in milliseconds since 1970.
    var receivedMilliseconds: Int64

    init(
        method: String,
        target: String,
        host: String? = nil,
        key: String? = nil,
        contentType: String? = nil,
        ifNoneMatch: String? = nil,
        body: [UInt8] = [],
        isBodyTooLarge: Bool = false,
        receivedMilliseconds: Int64
    ) {
        self.method = method
        self.target = target
        self.route = APIRoute(target: target)
        self.host = host
        self.key = key?.isEmpty == true ? nil : key
        self.contentType = contentType
        self.ifNoneMatch = ifNoneMatch
        self.body = body
        self.isBodyTooLarge = isBodyTooLarge
        self.receivedMilliseconds = receivedMilliseconds
    }

    /// The target without its query.
    var path: Substring { target.prefix { $0 != "?" } }

    /// The query's pairs in order, decoded.
    var query: [(name: String, value: String)] {
        guard let mark = target.firstIndex(of: "?") else { return [] }
        return target[target.index(after: mark)...].split(separator: "&").map { pair in
            let cut = pair.firstIndex(of: "=") ?? pair.endIndex
            let value = cut == pair.endIndex ? "" : pair[pair.index(after: cut)...]
            let name = PercentCoding.decode(pair[..<cut], plusIsSpace: true)
            return (name, PercentCoding.decode(value, plusIsSpace: true))
        }
    }

    /// The first value of a query parameter.
    func queryValue(_ name: String) -> String? {
        query.first { $0.name == name }?.value
    }
}
