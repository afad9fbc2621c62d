/// How a simulator is started.
struct SimulatorOptions: Sendable {
    /// The IP address of both listeners.
    var host = "127.0.0.1"
    /// 0 lets the kernel choose.
    var port = 0
    var controlPort = 0
    /// The number of requests that the log keeps.
    var logLimit = 1_000_000
    var settings = SimulatorSettings()
}
