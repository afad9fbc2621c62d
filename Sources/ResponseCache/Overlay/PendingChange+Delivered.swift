import DexatelAPI

extension PendingChange {
    /// What a write that the upstream has taken made of its contact, for replies that were asked for before.
    ///
    /// The upstream's reply tells it, as far as it holds the contact; else the write itself.
    ///
    /// - Parameters:
    ///   - putBody: The body of a PUT; nil for a DELETE.
    ///   - reply: The body of the upstream's 2xx reply.
    package init?(delivered sequence: Int64, putBody: UnsafeRawBufferPointer?, reply: UnsafeRawBufferPointer) {
        guard let putBody else {
            self.init(sequence: sequence, effect: .delete, isDelivered: true)
            return
        }
        guard let contact = ContactDocument.contact(in: reply) else {
            self.init(sequence: sequence, putBody: putBody, isDelivered: true)
            return
        }
        let fields = (0..<contact.memberCount).map { index in
            Field(
                name: contact.withName(at: index) { String(decoding: $0, as: UTF8.self) },
                value: Array(reply[contact.value(at: index)])
            )
        }
        self.init(sequence: sequence, effect: .update(fields), isDelivered: true)
    }

    /// What it takes in memory, roughly.
    package var bytes: Int {
        guard case .update(let fields) = effect else { return 64 }
        return fields.reduce(64) { $0 + 96 + $1.name.utf8.count + $1.value.count }
    }
}
