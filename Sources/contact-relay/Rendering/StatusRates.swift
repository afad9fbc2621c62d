import AdminAPI

/// What has happened between two statuses, for each second.
struct StatusRates: CustomStringConvertible {
    private let accepted: Double
    private let delivered: Double
    private let reads: Double

    /// Nil where no time has passed, or the daemon is another one.
    init?(from old: RelayStatus, to new: RelayStatus, seconds: Double) {
        guard seconds > 0, old.daemon.pid == new.daemon.pid, old.daemon.startedAt == new.daemon.startedAt else {
            return nil
        }
        let reads = { (status: RelayStatus) in
            status.cache.map { $0.hits + $0.stale + $0.misses + $0.validations } ?? 0
        }
        accepted = Double(new.outbox.accepted - old.outbox.accepted) / seconds
        delivered = Double(new.outbox.delivered - old.outbox.delivered) / seconds
        self.reads = (Double(reads(new)) - Double(reads(old))) / seconds
    }

    var description: String {
        "\(Self.text(accepted)) accepted/s, \(Self.text(delivered)) delivered/s, \(Self.text(reads)) reads/s"
    }

    private static func text(_ rate: Double) -> String {
        if rate >= 10 { return StatusLine.grouped(Int64(rate.rounded())) }
        let tenths = Int((rate * 10).rounded())
        return "\(tenths / 10).\(tenths % 10)"
    }
}
