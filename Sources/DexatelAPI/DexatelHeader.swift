/// Names of header fields that the upstream defines.
package enum DexatelHeader {
    /// Carries the API key on every request; the value is a secret (P7).
    package static let apiKey = "X-Dexatel-Key"
}
