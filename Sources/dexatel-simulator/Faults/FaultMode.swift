/// Whether the upstream is there at all.
enum FaultMode: String, Sendable {
    case up
    /// Connections are refused.
    case down
    /// Connections are accepted and requests read, but nothing is ever answered.
    case blackHole = "black-hole"
}
