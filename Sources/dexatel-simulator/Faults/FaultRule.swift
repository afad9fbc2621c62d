/// One fault, for whom, and how often.
struct FaultRule: Sendable, Equatable {
    var effect: FaultEffect
    /// How many more requests it meets; nil means all until it is cleared.
    var remaining: Int?
    /// Only requests to this contact.
    var contact: UInt128?
    /// Only requests with this API key.
    var key: String?
    /// Only requests with this method.
    var method: String?

    func meets(_ request: SimulatorRequest) -> Bool {
        if let contact, request.route?.contact != contact { return false }
        if let key, request.key != key { return false }
        if let method, request.method != method { return false }
        return true
    }
}
