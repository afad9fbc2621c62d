import HTTPClient
import Testing

@testable import RelayDaemon

/// The rules that settings must keep among each other.
@Suite struct ConfigurationCheckTests {
    private func problems(_ overrides: [String: String], environment: [String: String] = [:]) -> [String] {
        do throws(ConfigurationError) {
            _ = try RelayConfiguration.load(
                file: nil,
                defaultFile: "/nonexistent/relay.yaml",
                environment: environment,
                overrides: overrides
            )
            return []
        } catch {
            return error.problems.map(\.description)
        }
    }

    @Test(arguments: ["0.0.0.0", "::", "192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"])
    func `an address that other hosts can reach must be allowed`(address: String) {
        #expect(
            problems(["listen.address": address]) == [
                "command line: listen.address: other hosts can reach \(address); that needs listen.allow_remote: true"
            ]
        )
        #expect(problems(["listen.address": address, "listen.allow_remote": "true"]) == [])
    }

    @Test(arguments: ["127.0.0.1", "127.255.0.9", "::1", "localhost", "::ffff:127.0.0.1"])
    func `a loopback address needs no leave`(address: String) {
        #expect(problems(["listen.address": address]) == [])
    }

    @Test(arguments: ["http://api.example", "http://192.0.2.1:80", "http://localhost.example", "http://[2001:db8::1]"])
    func `a plain upstream elsewhere is refused`(url: String) {
        #expect(
            problems(["upstream.url": url]) == [
                "command line: upstream.url: plain http:// is allowed on loopback only; use https://"
            ]
        )
    }

    @Test(arguments: ["http://127.0.0.1:9000", "http://[::1]:9000", "http://localhost", "https://api.example"])
    func `a plain upstream on loopback and an encrypted one anywhere are right`(url: String) {
        #expect(problems(["upstream.url": url]) == [])
    }

    @Test func `the authorities' file must be readable`() {
        #expect(
            problems(["upstream.ca_file": "/nonexistent/ca.pem"]) == [
                "command line: upstream.ca_file: /nonexistent/ca.pem cannot be read: No such file or directory"
            ]
        )
        #expect(problems(["upstream.ca_file": "/dev/null"]) == [])
    }

    @Test(arguments: [
        ("http://127.0.0.1:8080", "127.0.0.1", true), ("http://localhost:8080", "127.0.0.1", true),
        ("http://localhost:8080", "::1", true), ("http://[::1]:8080", "::1", true),
        ("http://127.0.0.1:8080", "0.0.0.0", true), ("http://127.0.0.1:8081", "127.0.0.1", false),
        ("http://127.0.0.2:8080", "127.0.0.1", false), ("https://api.example:8080", "127.0.0.1", false),
    ])
    func `an upstream that is the relay itself is found`(url: String, address: String, isFound: Bool) {
        var configuration = RelayConfiguration()
        configuration.upstream.url = url
        configuration.listen.address = address
        #expect((configuration.ownListener != nil) == isFound)
    }

    @Test func `a proxy comes from the settings, or from the environment`() throws {
        func proxy(_ overrides: [String: String], _ environment: [String: String]) throws -> String? {
            try RelayConfiguration.load(
                file: nil,
                defaultFile: "/nonexistent/relay.yaml",
                environment: environment,
                overrides: overrides
            ).proxyConfiguration.map { "\($0.host):\($0.port) \($0.authorization ?? "-")" }
        }
        let environment = ["HTTPS_PROXY": "http://user:p%40ss@proxy.example:3128/"]
        #expect(try proxy([:], [:]) == nil)
        #expect(try proxy([:], environment) == "proxy.example:3128 Basic dXNlcjpwQHNz")
        #expect(try proxy(["upstream.proxy": ""], environment) == nil)
        #expect(try proxy(["upstream.proxy": "http://other.example:8"], environment) == "other.example:8 -")
        #expect(try proxy(["upstream.url": "http://127.0.0.1:9"], environment) == nil)
        #expect(try proxy(["upstream.url": "https://localhost:9"], environment) == nil)
        for list in ["*", "dexatel.com", ".dexatel.com", "x, api.dexatel.com"] {
            #expect(try proxy([:], environment.merging(["NO_PROXY": list]) { $1 }) == nil)
        }
        #expect(try proxy([:], environment.merging(["NO_PROXY": "atel.com"]) { $1 }) != nil)
        #expect(
            problems(["upstream.proxy": "http://p:1", "upstream.url": "https://192.0.2.1"]) == [
                "command line: upstream.proxy: an upstream behind a proxy needs a name, not an address"
            ]
        )
    }

    @Test func `the two Unix sockets are different`() {
        #expect(
            problems(["listen.unix_socket": "/run/a.sock", "admin.socket": "/run/a.sock"]) == [
                "command line: listen.unix_socket: must not be the same path as admin.socket"
            ]
        )
    }

    @Test func `a default admin socket that the kernel cannot take is refused`() {
        let directory = "/" + String(repeating: "a", count: 100)
        #expect(
            problems(["state.directory": directory]) == [
                "default: admin.socket: \(directory)/admin.sock is longer than 107 bytes; choose a shorter path"
            ]
        )
    }

    @Test(arguments: [
        ("upstream.connect_timeout", "2s", "upstream.request_timeout", "1s"),
        ("writes.reply_wait", "2s", "writes.max_reply_wait", "1999ms"),
        ("writes.max_pending_unverified_per_key", "1000", "writes.max_pending_unverified", "999"),
        ("writes.max_body", "64KiB", "writes.max_pending_bytes", "63KiB"),
        ("writes.not_found_grace", "5m", "writes.max_age", "299s"),
        ("writes.retry.initial", "1s", "writes.retry.max", "999ms"),
    ])
    func `of two settings one bounds the other`(smaller: String, value: String, larger: String, bound: String) {
        let rule = "\(smaller) (\(value)) must be at most \(larger) (\(bound))"
        // The blame falls on what was given; on the first, if both were.
        #expect(problems([larger: bound]) == ["command line: \(larger): \(rule)"])
        #expect(problems([smaller: value, larger: bound]) == ["command line: \(smaller): \(rule)"])
        #expect(problems([smaller: value, larger: value]) == [])
    }

    @Test func `the default of concurrent writes fits the connections, and one that is given has to`() throws {
        let fitted = try RelayConfiguration.load(
            file: nil,
            defaultFile: "/nonexistent/relay.yaml",
            environment: [:],
            overrides: ["upstream.max_connections": "7"]
        )
        #expect(fitted.upstream.maxConcurrentWrites == 7)
        #expect(
            problems(["upstream.max_concurrent_writes": "8", "upstream.max_connections": "7"]) == [
                "command line: upstream.max_concurrent_writes: upstream.max_concurrent_writes (8) must be at most "
                    + "upstream.max_connections (7)"
            ]
        )
    }

    @Test func `a rule between settings names the line`() throws {
        let file = try ConfigurationFixture("writes:\n  retry:\n    initial: 1h\n")
        let path = file.path
        let error = #expect(throws: ConfigurationError.self) {
            try RelayConfiguration.load(file: path, defaultFile: "", environment: [:], overrides: [:])
        }
        #expect(error?.problems.map(\.line) == [3])
        #expect(error?.problems.map(\.key) == ["writes.retry.initial"])
    }

    @Test func `a value that was refused is not checked against others`() {
        let found = problems(["writes.reply_wait": "soon", "writes.max_reply_wait": "1s"])
        #expect(found.count == 1)
        #expect(found.first?.contains("not \"soon\"") == true)
    }
}
