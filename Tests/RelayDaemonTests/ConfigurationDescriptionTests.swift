import Testing

@testable import RelayDaemon

/// The printed configuration.
@Suite struct ConfigurationDescriptionTests {
    private func reload(_ configuration: RelayConfiguration) throws -> RelayConfiguration {
        let file = try ConfigurationFixture(configuration.effectiveDescription())
        return try RelayConfiguration.load(file: file.path, defaultFile: "", environment: [:], overrides: [:])
    }

    @Test func `what is printed can be read again`() throws {
        #expect(try reload(RelayConfiguration()) == RelayConfiguration())

        var other = RelayConfiguration()
        other.listen.address = "::1"
        other.listen.unixSocket = #"/run/a "quoted" \ path: #1 ü"#
        other.listen.idleTimeout = .milliseconds(61_001)
        other.upstream.url = "http://[::1]:9000"
        other.writes.maxBodyBytes = 65_537
        other.writes.minFreeDiskBytes = 0
        other.writes.settle = .seconds(90)
        other.writes.acceptedStatus = .upstream
        other.state.directory = "true"
        other.admin.socket = "~"
        other.log.format = .json
        #expect(try reload(other) == other)
    }

    @Test func `every key is printed once, in its section`() {
        let text = RelayConfiguration().effectiveDescription()
        #expect(text.hasPrefix("listen:\n  address: \"127.0.0.1\"\n  port: 8080\n  unix_socket: \"\"\n"))
        #expect(text.contains("\nwrites:\n  reply_wait: 2s\n"))
        #expect(text.contains("\n  settle: 0s\n  on_dead_url: \"\"\n  limits:\n    first_name: 32\n"))
        #expect(
            text.contains(
                "\n    date: 70\n  retry:\n    initial: 1s\n    max: 15m\n    max_retry_after: 1h\nreads:\n"
            )
        )
        #expect(text.hasSuffix("\nlog:\n  level: info\n  format: auto\n"))
    }

    @Test func `a secret is not printed`() {
        let table = [
            ConfigurationKey("upstream.url", \.upstream.url, .origin, "The API.", isSecret: true),
            ConfigurationKey("log.level", \.log.level, .choice(), "Level."),
        ]
        #expect(
            RelayConfiguration().effectiveDescription(of: table)
                == "upstream:\n  #url: <redacted>\nlog:\n  level: info\n"
        )
    }
}
