import Testing

@testable import RelayDaemon

/// How values are written.
@Suite struct ConfigurationValueTests {
    /// The configuration with one value set, or `nil` if the value is refused.
    private func with(_ key: String, _ text: String) -> RelayConfiguration? {
        try? RelayConfiguration.load(
            file: nil,
            defaultFile: "/nonexistent/relay.yaml",
            environment: [:],
            overrides: ["listen.allow_remote": "true"].merging([key: text]) { $1 }
        )
    }

    @Test(arguments: [
        ("250ms", Duration.milliseconds(250)), ("2s", .seconds(2)), ("5m", .seconds(300)), ("1h", .seconds(3600)),
        ("7d", .seconds(604_800)), ("0s", .zero), ("0ms", .zero), ("007s", .seconds(7)),
    ])
    func `durations have a unit`(text: String, expected: Duration) {
        #expect(with("writes.keep_receipts", text)?.writes.keepReceipts == expected)
    }

    @Test(arguments: [
        "5", "", "s", "-1s", "1.5s", "1 s", "1S", "2sec", "1h30m", "366d", "99999999999999999999s",
        "9223372036854775807d", "٣s",
    ])
    func `anything else is not a duration`(text: String) {
        #expect(with("writes.keep_receipts", text) == nil)
    }

    @Test(arguments: [
        ("1024", 1024), ("2048B", 2048), ("64KiB", 65_536), ("3MiB", 3_145_728), ("2GiB", 2_147_483_648),
        ("1024GiB", 1_099_511_627_776),
    ])
    func `sizes have a binary unit or are bytes`(text: String, expected: Int) {
        #expect(with("writes.min_free_disk", text)?.writes.minFreeDiskBytes == expected)
    }

    @Test(arguments: [
        "", "KiB", "64KB", "64kib", "64 KiB", "-1", "1.5GiB", "1025GiB", "9223372036854775807GiB", "0x10",
    ])
    func `anything else is not a size`(text: String) {
        #expect(with("writes.min_free_disk", text) == nil)
    }

    @Test(arguments: [("0", 0), ("65535", 65_535), ("8080", 8080)])
    func `counts are plain numbers`(text: String, expected: Int) {
        #expect(with("listen.port", text)?.listen.port == expected)
    }

    @Test(arguments: ["", "65536", "-1", "8_080", "1e3", "80B", "+1"])
    func `anything else is not a count`(text: String) {
        #expect(with("listen.port", text) == nil)
    }

    @Test func `booleans are true and false`() {
        #expect(with("listen.allow_remote", "true")?.listen.allowRemote == true)
        for text in ["yes", "1", "True", "on", ""] {
            let error = #expect(throws: ConfigurationError.self) {
                try RelayConfiguration.load(
                    file: nil,
                    defaultFile: "/nonexistent/relay.yaml",
                    environment: ["CONTACT_RELAY_LISTEN_ALLOW_REMOTE": text],
                    overrides: [:]
                )
            }
            #expect(error?.problems.first?.message == "must be true or false, not \"\(text)\"")
        }
    }

    @Test(arguments: [("202", RelayConfiguration.Writes.AcceptedStatus.accepted), ("upstream", .upstream)])
    func `the accepted status is 202 or the upstream's`(
        text: String,
        expected: RelayConfiguration.Writes.AcceptedStatus
    ) {
        #expect(with("writes.accepted_status", text)?.writes.acceptedStatus == expected)
        #expect(with("writes.accepted_status", "200") == nil)
    }

    @Test(arguments: ["127.0.0.1", "::1", "localhost", "0.0.0.0", "2001:db8::1"])
    func `addresses are IP addresses or localhost`(text: String) {
        #expect(with("listen.address", text)?.listen.address == text)
    }

    @Test(arguments: ["relay.example", "127.0.0.1:80", "[::1]", "127.1", "256.0.0.1"])
    func `anything else is not an address`(text: String) {
        #expect(with("listen.address", text) == nil)
    }

    @Test(arguments: [
        ("https://api.dexatel.com", "https://api.dexatel.com"),
        ("HTTPS://API.Example:8443/", "https://api.example:8443"),
        ("http://127.0.0.1:9000", "http://127.0.0.1:9000"), ("http://[::1]:9000/", "http://[::1]:9000"),
    ])
    func `an upstream is a scheme, a host and a port`(text: String, expected: String) {
        #expect(with("upstream.url", text)?.upstream.url == expected)
    }

    @Test(arguments: [
        "", "api.example", "ftp://api.example", "https://", "https:///", "https://api.example/v1",
        "https://api.example?a=b",
        "https://api.example#a", "https://user@api.example", "https://user:secret@api.example", "https://api.example:0",
        "https://api.example:65536", "https://api example", "https:api.example",
    ])
    func `anything else is not an upstream, and is not repeated`(text: String) {
        let error = #expect(throws: ConfigurationError.self) {
            try RelayConfiguration.load(
                file: nil,
                defaultFile: "/nonexistent/relay.yaml",
                environment: [:],
                overrides: ["upstream.url": text]
            )
        }
        #expect(
            error?.description == """
                command line: upstream.url: must be an http:// or https:// URL of a host and optionally a port, \
                without a path, query or user
                """
        )
    }

    @Test func `socket paths fit the kernel's limit`() {
        let longest = "/" + String(repeating: "a", count: 106)
        #expect(with("admin.socket", longest)?.admin.socket == longest)
        #expect(with("admin.socket", longest + "a") == nil)
        #expect(with("listen.unix_socket", longest)?.listen.unixSocket == longest)
        #expect(with("listen.unix_socket", longest + "a") == nil)
    }

    @Test(arguments: ["", "a\u{0}b", "a\nb"])
    func `paths are not empty and have no control characters`(text: String) {
        #expect(with("state.directory", text) == nil)
    }

    @Test func `a refused value is repeated on one line`() {
        let error = #expect(throws: ConfigurationError.self) {
            try RelayConfiguration.load(
                file: nil,
                defaultFile: "/nonexistent/relay.yaml",
                environment: [:],
                overrides: ["listen.port": "80\n\u{1B}[2J"]
            )
        }
        #expect(error?.problems.first?.message.hasSuffix(#", not "80\n\u{1B}[2J""#) == true)
    }
}
