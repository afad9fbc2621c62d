extension SimulatorCore {
    /// What `GET /counts` tells.
    var countsJSON: JSONValue {
        let byStatus = counts.byStatus.filter { $0.value != 0 }.map { ("\($0.key)", JSONValue.integer($0.value)) }
        return .object([
            "total": .integer(counts.total),
            "by_method": .object(counts.byMethod.mapValues { .integer($0) }),
            "by_status": .object(Dictionary(uniqueKeysWithValues: byStatus)),
            "connections": .object([
                "accepted": .integer(counts.acceptedConnections),
                "open": .integer(counts.openConnections),
            ]),
            "contacts": .integer(state.contactCount),
            "log": .object([
                "entries": .integer(log.count),
                "limit": .integer(log.limit),
                "dropped": .integer(log.droppedCount),
                "last_n": .integer(log.lastNumber),
            ]),
        ])
    }
}
