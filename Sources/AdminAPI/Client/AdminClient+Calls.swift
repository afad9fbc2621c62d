/// The calls of the admin API (docs/admin-api.md).
extension AdminClient {
    /// How the daemon does.
    package func status() async throws -> RelayStatus { try await get("status", as: RelayStatus.self) }

    // MARK: - Writes

    /// A part of what a selector finds.
    package func list(_ request: WritePageRequest) async throws -> WritePage {
        try await post("writes/list", request, as: WritePage.self)
    }

    /// How many a part of it has.
    package func count(_ request: WritePageRequest) async throws -> WriteCountPart {
        try await post("writes/count", request, as: WriteCountPart.self)
    }

    /// A write with all that is kept of it.
    package func show(_ id: String) async throws -> WriteDetail {
        try await get("writes/\(id)", as: WriteDetail.self)
    }

    /// Changes a part of what a selector finds.
    package func change(_ command: WriteCommand, _ request: WriteChangeRequest) async throws -> WriteChangeReply {
        try await post("writes/\(command.rawValue)", request, as: WriteChangeReply.self, isLong: true)
    }

    /// A part of what a selector finds, with all that is needed to send it.
    package func export(_ request: WritePageRequest) async throws -> ExportPage {
        try await post("writes/export", request, as: ExportPage.self)
    }

    /// Takes writes in.
    package func importWrites(_ writes: [ExportedWriteLine]) async throws -> ImportReply {
        try await post("writes/import", ImportRequest(writes), as: ImportReply.self)
    }

    /// Looks through the whole outbox for damage.
    package func check() async throws -> CheckReply {
        try await post("outbox/check", [String: String](), as: CheckReply.self, isLong: true)
    }

    /// A part of the damaged writes that were set aside.
    package func damagedWrites(_ request: DamagedWritesRequest) async throws -> DamagedWrites {
        try await post("damaged/list", request, as: DamagedWrites.self)
    }

    /// Discards damaged writes.
    package func discardDamaged(_ request: DiscardDamagedRequest) async throws -> DiscardDamagedReply {
        try await post("damaged/discard", request, as: DiscardDamagedReply.self)
    }

    // MARK: - Contacts

    /// The contacts that are stopped.
    package func stoppedContacts() async throws -> StoppedContacts {
        try await get("contacts/stopped", as: StoppedContacts.self)
    }

    /// Stops contacts.
    package func hold(_ contacts: [ContactName]) async throws -> ContactsReply {
        try await post("contacts/hold", ContactsRequest(contacts), as: ContactsReply.self)
    }

    /// Lets stopped contacts go.
    package func release(_ contacts: [ContactName]) async throws -> ContactsReply {
        try await post("contacts/release", ContactsRequest(contacts), as: ContactsReply.self)
    }

    // MARK: - Deliveries

    /// Pauses deliveries.
    package func pauseDeliveries() async throws -> DeliveriesReply {
        try await post("deliveries/pause", [String: String](), as: DeliveriesReply.self)
    }

    /// Has deliveries go on.
    package func resumeDeliveries() async throws -> DeliveriesReply {
        try await post("deliveries/resume", [String: String](), as: DeliveriesReply.self)
    }

    /// Has what waits for a time go now.
    package func flushDeliveries() async throws -> DeliveriesReply {
        try await post("deliveries/flush", [String: String](), as: DeliveriesReply.self)
    }

    // MARK: - Keys

    /// The keys that the queue refers to.
    package func keys() async throws -> KeyList { try await get("keys", as: KeyList.self) }

    /// Lets a new key take over what is pending of one, once the upstream has taken it.
    package func replaceKey(
        _ fingerprint: String,
        _ request: KeyReplacementRequest
    ) async throws -> KeyReplacementReply {
        try await post("keys/\(fingerprint)/replace", request, as: KeyReplacementReply.self)
    }

    // MARK: - The cache

    /// What the cache holds and has done.
    package func cache() async throws -> RelayStatus.Cache { try await get("cache", as: RelayStatus.Cache.self) }

    /// Drops what is stored at a path and below it; everything for nil.
    package func purgeCache(path: String?) async throws -> CachePurgeReply {
        try await post("cache/purge", CachePurgeRequest(path: path), as: CachePurgeReply.self)
    }
}
