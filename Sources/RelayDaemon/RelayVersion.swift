/// The release of this relay.
package enum RelayVersion {
    /// As `--version` and the status show it.
    package static let text = "0.1.0"
}
