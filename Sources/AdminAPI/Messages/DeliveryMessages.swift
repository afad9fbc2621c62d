/// Whether deliveries are paused, as the answer to a command.
package struct DeliveriesReply: Codable, Sendable, Equatable {
    /// An operator has paused deliveries.
    package var paused: Bool

    /// Says so.
    package init(paused: Bool) { self.paused = paused }
}
