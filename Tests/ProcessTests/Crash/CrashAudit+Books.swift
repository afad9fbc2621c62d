import AdminAPI

extension CrashAudit {
    /// How the books do not balance; nil if they do (P2).
    static func imbalance(_ books: RelayStatus.Outbox) -> String? {
        let ended = books.delivered + books.rejected + books.superseded + books.dead + books.discarded
        guard books.accepted == books.pending + ended else { return "the books do not balance: \(books)" }
        guard books.inFlight + books.held <= books.pending else {
            return "more in flight and held than pending: \(books)"
        }
        return nil
    }
}

extension CrashWrite {
    /// The receipt that its sender was told of.
    var id: String? {
        switch outcome {
        case .unknown: nil
        case .acknowledged(let id, _), .refused(let id, _): id
        }
    }
}
