import Foundation
import Testing

@testable import RelayDaemon

/// Where settings come from, and which source wins.
@Suite struct ConfigurationLoadTests {
    private let nowhere = "/nonexistent/contact-relay.yaml"

    private func load(
        _ yaml: String? = nil,
        environment: [String: String] = [:],
        overrides: [String: String] = [:]
    ) throws -> RelayConfiguration {
        guard let yaml else {
            return try RelayConfiguration.load(
                file: nil,
                defaultFile: nowhere,
                environment: environment,
                overrides: overrides,
                readsSecrets: false
            )
        }
        let file = try ConfigurationFixture(yaml)
        return try RelayConfiguration.load(
            file: file.path,
            defaultFile: nowhere,
            environment: environment,
            overrides: overrides,
            // Other tests read them.
            readsSecrets: false
        )
    }

    private func problems(
        environment: [String: String] = [:],
        overrides: [String: String] = [:]
    ) -> [String] {
        let error = #expect(throws: ConfigurationError.self) {
            try load(environment: environment, overrides: overrides)
        }
        return error?.problems.map(\.description) ?? []
    }

    @Test func `without any source the defaults hold`() throws {
        #expect(try load() == RelayConfiguration())
    }

    @Test func `the file overrides defaults, the environment the file, and the command line the environment`() throws {
        let yaml = "listen:\n  port: 1\n  max_connections: 1\n  idle_timeout: 1s\n"
        let environment = ["CONTACT_RELAY_LISTEN_PORT": "2", "CONTACT_RELAY_LISTEN_MAX_CONNECTIONS": "2"]
        let listen = try load(yaml, environment: environment, overrides: ["listen.port": "3"]).listen
        #expect(listen.port == 3)
        #expect(listen.maxConnections == 2)
        #expect(listen.idleTimeout == .seconds(1))
        #expect(listen.headTimeout == .seconds(10))
    }

    @Test func `underscores inside names and levels between them meet in the variable`() throws {
        let environment = [
            "CONTACT_RELAY_WRITES_REPLY_WAIT": "250ms",
            "CONTACT_RELAY_WRITES_RETRY_MAX_RETRY_AFTER": "2h",
            "CONTACT_RELAY_UPSTREAM_URL": "https://api.example",
        ]
        let configuration = try load(environment: environment)
        #expect(configuration.writes.replyWait == .milliseconds(250))
        #expect(configuration.writes.retry.maxRetryAfter == .seconds(7200))
        #expect(configuration.upstream.url == "https://api.example")
    }

    @Test(arguments: ConfigurationKey.all.map(\.name))
    func `each key can be set in every source`(name: String) throws {
        let key = try #require(ConfigurationKey.all.first { $0.name == name })
        let (text, expected) = try #require(try otherValue(for: key))
        let parts = name.split(separator: ".")
        let yaml = parts.enumerated().map { String(repeating: " ", count: $0) + "\($1):" }.joined(separator: "\n")
        // Keys that must fit the changed one are moved out of its way.
        let companions = companions[name] ?? [:]
        #expect(try load(yaml + " \"\(text)\"\n", overrides: companions) == expected)
        #expect(try load(environment: [key.variable: text], overrides: companions) == expected)
        #expect(try load(overrides: companions.merging([name: text]) { $1 }) == expected)
    }

    /// A value other than the default, and the configuration in which it stands.
    private func otherValue(for key: ConfigurationKey) throws -> (String, RelayConfiguration)? {
        let candidates = [
            "::1", "false", "true", "2s", "1s", "3", "7KiB", "2MiB", "json", "upstream", "debug", "merge",
        ]
        let paths = ["https://relay.example:8443", "http://proxy.example:3128", "/dev/null", "/run/other.sock"]
        for text in key.type == "path" || key.type == "URL" ? paths : candidates {
            var overrides = companions[key.name] ?? [:]
            overrides[key.name] = text
            guard let changed = try? load(overrides: overrides), key.text(in: changed) == text else { continue }
            let unchanged = try load(overrides: companions[key.name] ?? [:])
            if key.text(in: unchanged) != text { return (text, changed) }
        }
        return nil
    }

    private let companions = [
        "writes.max_pending_unverified": ["writes.max_pending_unverified_per_key": "1"],
        "upstream.api_key_file": ["listen.token_file": "/dev/null"],
        "upstream.max_connections": ["upstream.max_concurrent_writes": "1"],
        "upstream.request_timeout": ["upstream.connect_timeout": "1s"],
        "writes.max_reply_wait": ["writes.reply_wait": "1s"],
        "writes.max_pending_bytes": ["writes.max_body": "1KiB"],
        "writes.max_age": ["writes.not_found_grace": "1s"],
    ]

    @Test func `an empty value takes an optional one away`() throws {
        let yaml = "listen:\n  unix_socket: /run/relay.sock\n"
        #expect(try load(yaml).listen.unixSocket == "/run/relay.sock")
        #expect(try load(yaml, environment: ["CONTACT_RELAY_LISTEN_UNIX_SOCKET": ""]).listen.unixSocket == nil)
    }

    @Test func `an unknown variable is refused by name, and what was meant is named`() {
        let environment = [
            "CONTACT_RELAY_UPSTREAM_ULR": "secret-value",
            "CONTACT_RELAY_NONSENSE": "secret-value",
            "OTHER_VARIABLE": "x",
        ]
        #expect(
            problems(environment: environment) == [
                "CONTACT_RELAY_NONSENSE: is not a known setting",
                "CONTACT_RELAY_UPSTREAM_ULR: is not a known setting; did you mean CONTACT_RELAY_UPSTREAM_URL?",
            ]
        )
    }

    @Test func `a bad value names its variable or the command line`() {
        #expect(
            problems(environment: ["CONTACT_RELAY_LISTEN_PORT": "http"], overrides: ["log.level": "loud"]) == [
                "CONTACT_RELAY_LISTEN_PORT: listen.port: must be a whole number from 0 to 65535, not \"http\"",
                "command line: log.level: must be trace, debug, info, notice, warning, error or critical, not \"loud\"",
            ]
        )
    }

    @Test func `an unknown key on the command line is refused`() {
        #expect(
            problems(overrides: ["listen.prot": "1"]) == [
                "command line: listen.prot: is not a known key; did you mean listen.port?"
            ]
        )
    }

    @Test func `a wrong value is an error even where it is overridden`() {
        #expect(
            problems(environment: ["CONTACT_RELAY_LISTEN_PORT": "x"], overrides: ["listen.port": "1"]) == [
                "CONTACT_RELAY_LISTEN_PORT: listen.port: must be a whole number from 0 to 65535, not \"x\""
            ]
        )
    }

    @Test func `a file that was named must exist`() async {
        let error = await #expect(throws: ConfigurationError.self) {
            try await RelayConfiguration.load(file: "/nonexistent/relay.yaml", environment: [:], overrides: [:])
        }
        #expect(error?.description == "/nonexistent/relay.yaml: there is no such file")
        #expect(error?.problems.first?.file == "/nonexistent/relay.yaml")
    }

    @Test func `the default file is read if it exists`() throws {
        let file = try ConfigurationFixture("log:\n  level: debug\n")
        let loaded = try RelayConfiguration.load(file: nil, defaultFile: file.path, environment: [:], overrides: [:])
        #expect("\(loaded.log.level)" == "debug")
    }

    @Test func `a file that cannot be read is an error even in the default place`() {
        let error = #expect(throws: ConfigurationError.self) {
            try RelayConfiguration.load(file: nil, defaultFile: "/tmp", environment: [:], overrides: [:])
        }
        #expect(error?.description == "/tmp: cannot be read: Is a directory")
    }

    @Test func `a file that is not text is refused`() throws {
        let file = try ConfigurationFixture(bytes: Data([0x6C, 0xFF, 0xFE]))
        let path = file.path
        let error = #expect(throws: ConfigurationError.self) {
            try RelayConfiguration.load(file: path, defaultFile: "", environment: [:], overrides: [:])
        }
        #expect(error?.description == "\(path): cannot be read: it is not UTF-8 text")
    }

    @Test func `a file that is too large is refused`() throws {
        let file = try ConfigurationFixture(bytes: Data(repeating: 0x23, count: (1 << 20) + 1))
        let path = file.path
        let error = #expect(throws: ConfigurationError.self) {
            try RelayConfiguration.load(file: path, defaultFile: "", environment: [:], overrides: [:])
        }
        #expect(error?.description == "\(path): cannot be read: it is larger than 1048576 bytes")
    }

    @Test func `systemd's folders are the defaults where it gives them`() throws {
        let given = try load(environment: [
            "STATE_DIRECTORY": "/var/lib/relay:/b", "RUNTIME_DIRECTORY": "/run/relay:/c",
        ])
        #expect(given.state.directory == "/var/lib/relay")
        #expect(given.admin.socket == "/run/relay/admin.sock")
    }

    @Test func `the admin socket lies in the state directory where there is no runtime directory`() throws {
        #expect(try load(overrides: ["state.directory": "/srv/relay"]).admin.socket == "/srv/relay/admin.sock")
        let both = try load(environment: ["RUNTIME_DIRECTORY": "/run/r"], overrides: ["admin.socket": "/run/mine.sock"])
        #expect(both.admin.socket == "/run/mine.sock")
    }
}
