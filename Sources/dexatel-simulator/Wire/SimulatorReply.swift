/// One reply, before it is cut into bytes.
struct SimulatorReply: Sendable, Equatable {
    struct Field: Sendable, Equatable {
        let name: String
        let value: String
    }

    var status: Int
    var fields: [Field] = []
    /// What a HEAD would be answered with, too: the renderer leaves the bytes out then.
    var body: [UInt8] = []
    /// Whether a write took effect.
    var isApplied = false

    /// A reply without a body.
    init(status: Int) {
        self.status = status
    }

    /// A JSON reply.
    init(status: Int, json: [UInt8]) {
        self.init(status: status, contentType: "application/json", body: json)
    }

    /// A reply of any media type.
    init(status: Int, contentType: String, body: [UInt8]) {
        self.status = status
        self.fields = [Field(name: "Content-Type", value: contentType)]
        self.body = body
    }

    /// The first value of a field, by its name in any case.
    func value(of name: String) -> String? {
        fields.first { $0.name.lowercased() == name.lowercased() }?.value
    }

    mutating func add(_ name: String, _ value: String) {
        fields.append(Field(name: name, value: value))
    }
}
