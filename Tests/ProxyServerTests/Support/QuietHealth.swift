import ProxyServer

/// Says that all is well.
struct QuietHealth: HealthSource {
    func live() -> HealthReport { HealthReport(sinceMilliseconds: 0, checks: []) }
    func ready() -> HealthReport { HealthReport(sinceMilliseconds: 0, checks: []) }
    func metricsDocument() async -> [UInt8] { [] }
    func statusDocument() async -> [UInt8] { Array("{}".utf8) }
}
