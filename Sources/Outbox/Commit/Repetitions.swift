import NIOCore

/// Writes whose senders gave an `Idempotency-Key` that was used before: they are not accepted again (IETF draft,
/// draft-ietf-httpapi-idempotency-key-header).
struct Repetitions {
    private var accepted: [[UInt8]: (idempotency: Idempotency, receipt: Receipt)] = [:]
    private var answers: [(write: NewWrite, answer: WriteAnswer)] = []
    /// Writes that end in the same transaction.
    private let ends: [Int64: EndRecord]

    init(ends: [EndRecord]) {
        self.ends = Dictionary(ends.map { ($0.sequence, $0) }, uniquingKeysWith: { _, last in last })
    }

    /// Pending writes whose receipts other senders get: they are acknowledged with that.
    var acknowledged: Set<Int64> {
        Set(answers.compactMap { $0.answer.acknowledged })
    }

    /// Whether the write repeats another, and gets its answer once the transaction is durable.
    mutating func take(
        _ write: NewWrite,
        _ idempotency: Idempotency?,
        _ storage: any OutboxStorage
    ) throws -> Bool {
        guard let idempotency else { return false }
        let found: (receipt: Receipt, content: [UInt8])?
        if let known = accepted[idempotency.key] {
            found = (known.receipt, known.idempotency.content)
        } else {
            found = try storage.write(idempotency: idempotency.key)
        }
        guard var first = found else { return false }
        if let end = ends[first.receipt.id.sequence] {
            guard end.keepsIdempotency else { return false }
            first.receipt.end(end)
        }
        answers.append((write, Self.answer(first, idempotency)))
        return true
    }

    static func answer(_ first: (receipt: Receipt, content: [UInt8]), _ idempotency: Idempotency) -> WriteAnswer {
        first.content == idempotency.content ? .repeated(first.receipt) : .idempotencyConflict
    }

    /// A write with an idempotency key is in the transaction.
    mutating func remember(
        _ idempotency: Idempotency,
        _ pending: PendingWrite,
        _ write: NewWrite,
        at acceptedAtMilliseconds: Int64
    ) {
        let receipt = Receipt(
            id: pending.id,
            state: .pending,
            method: pending.method,
            contact: pending.contact,
            keyFingerprint: write.key.fingerprint,
            acceptedAtMilliseconds: acceptedAtMilliseconds,
            attempts: 0,
            isAmbiguous: false
        )
        accepted[idempotency.key] = (idempotency, receipt)
    }

    /// - Parameter isKept: Whether the next start will find the transaction; nothing is known of it otherwise.
    func answer(_ thread: CommitThread, isKept: Bool) {
        guard !answers.isEmpty else { return }
        var batches = AnswerBatches()
        for (write, answer) in answers {
            thread.keys.release(write.key)
            thread.admission.release(writes: 1, bytes: write.admittedBytes)
            batches.add(write.sink, write.token, isKept ? answer : .unavailable(.storageFailed))
        }
        batches.send()
    }
}

/// Looks for the write that one repeats which there is no room for: its sender is owed the receipt, which takes none.
struct FindRepetition: CommitOperation {
    let write: NewWrite

    var acknowledges: Bool { true }

    func run(_ desk: inout CommitDesk) throws -> () -> Void {
        var answer = WriteAnswer.notRepeated
        if let idempotency = write.idempotency(in: desk.keys.vault),
            let first = try desk.storage.write(idempotency: idempotency.key)
        {
            answer = Repetitions.answer(first, idempotency)
            if let sequence = answer.acknowledged { desk.news.acknowledged.insert(sequence) }
        }
        return { [answer] in write.sink.take([(write.token, answer)]) }
    }

    func failed(_ error: OutboxError) { write.sink.take([(write.token, .unavailable(.storageFailed))]) }
}

extension WriteAnswer {
    /// The pending write that a repetition is answered 202 for; its first sender may still wait for its end.
    fileprivate var acknowledged: Int64? {
        guard case .repeated(let receipt) = self, receipt.endedAtMilliseconds == nil else { return nil }
        return receipt.id.sequence
    }
}

extension Receipt {
    /// The write has ended in the transaction that looks for it.
    fileprivate mutating func end(_ end: EndRecord) {
        state = end.state
        attempts = end.write.attempts
        lastError = end.lastError
        endedAtMilliseconds = acceptedAtMilliseconds
        responseStatus = end.response?.status
        responseBody = end.response?.body
    }
}

extension NewWrite {
    /// What its idempotency key stands for; nil without one.
    ///
    /// The content is the method, the target and the body: headers may differ from one try to the next.
    func idempotency(in vault: KeyVault) -> Idempotency? {
        guard let idempotencyKey else { return nil }
        return Idempotency(
            key: vault.digest([Array("idempotency".utf8), key.fingerprint.bytes, Array(idempotencyKey.utf8)]),
            content: vault.digest([
                Array(method.name.utf8), Array(payload.target.utf8), Array(payload.body.readableBytesView),
            ])
        )
    }
}
