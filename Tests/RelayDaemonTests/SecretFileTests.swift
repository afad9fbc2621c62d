import DexatelAPI
import Foundation
import ProxyServer
import Testing

@testable import RelayDaemon

/// The API key and the token that stand in files or credentials of their own (design §2.3, P7).
@Suite struct SecretFileTests {
    /// A credentials directory of a test.
    private struct Credentials: ~Copyable {
        let directory = NSTemporaryDirectory() + "credentials-\(UUID().uuidString)"

        init(_ contents: [String: String]) throws {
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: false)
            for (name, text) in contents {
                try text.write(toFile: directory + "/" + name, atomically: false, encoding: .utf8)
            }
        }

        deinit { try? FileManager.default.removeItem(atPath: directory) }
    }

    private static let token = "a-token-of-some-length"

    private func load(
        _ overrides: [String: String] = [:],
        environment: [String: String] = [:],
        file: String? = nil,
        readsSecrets: Bool = true
    ) throws(ConfigurationError) -> RelayConfiguration {
        try RelayConfiguration.load(
            file: file,
            defaultFile: "/nonexistent/relay.yaml",
            environment: environment,
            overrides: overrides,
            readsSecrets: readsSecrets
        )
    }

    private func problems(_ overrides: [String: String] = [:], environment: [String: String] = [:]) -> [String] {
        do throws(ConfigurationError) {
            _ = try load(overrides, environment: environment)
            return []
        } catch {
            return error.problems.map(\.description)
        }
    }

    @Test func `credentials are found, and a newline behind a secret is none of it`() throws {
        let credentials = try Credentials(["dexatel-api-key": "planted-key\n", "listen-token": "\(Self.token)\r\n"])
        let environment = ["CREDENTIALS_DIRECTORY": credentials.directory]
        let configuration = try load(environment: environment)
        #expect(configuration.upstream.apiKey == Secret("planted-key"))
        #expect(configuration.listen.token == Secret(Self.token))
        #expect(configuration.upstream.apiKeyFile == credentials.directory + "/dexatel-api-key")
        let server = configuration.serverConfiguration.clients
        #expect(server.injectedKey == Secret("planted-key") && server.token == Secret(Self.token))
        // Whoever sees the configuration, in whatever form, sees neither.
        var dumped = ""
        dump(configuration, to: &dumped)
        for text in [configuration.effectiveDescription(), dumped, "\(configuration)"] {
            #expect(!text.contains("planted-key") && !text.contains(Self.token))
        }
    }

    @Test func `a file that is named comes before a credential, and an empty name does without`() throws {
        let credentials = try Credentials([
            "dexatel-api-key": "planted-key", "listen-token": Self.token, "mine": "other",
        ])
        let environment = ["CREDENTIALS_DIRECTORY": credentials.directory]
        let named = try load(["upstream.api_key_file": credentials.directory + "/mine"], environment: environment)
        #expect(named.upstream.apiKey == Secret("other"))
        let none = try load(["upstream.api_key_file": "", "listen.token_file": ""], environment: environment)
        #expect(none.upstream.apiKey == nil && none.listen.token == nil)
        let without = try load(environment: ["CREDENTIALS_DIRECTORY": "/nonexistent"])
        #expect(without.upstream.apiKeyFile == nil)
    }

    @Test(arguments: [
        ("", "is empty"), ("\n", "is empty"), ("two words", "must hold an API key in one line of printable ASCII"),
        ("two\nlines", "must hold an API key in one line of printable ASCII"),
        (String(repeating: "x", count: 5000), "holds more than 4096 bytes"),
    ])
    func `a file that holds no API key is refused without its contents`(contents: String, reason: String) throws {
        let credentials = try Credentials(["key": contents, "token": Self.token])
        let paths = ["key", "token"].map { credentials.directory + "/" + $0 }
        let found = problems(["upstream.api_key_file": paths[0], "listen.token_file": paths[1]])
        #expect(found == ["command line: upstream.api_key_file: \(paths[0]) \(reason)"])
    }

    @Test(arguments: ["short", "a token of some length", "a-token-of-some-length\u{e9}"])
    func `a token that could be guessed or is none is refused`(contents: String) throws {
        let credentials = try Credentials(["listen-token": contents])
        let found = problems(environment: ["CREDENTIALS_DIRECTORY": credentials.directory])
        #expect(
            found == [
                "default: listen.token_file: \(credentials.directory)/listen-token must hold a token of at least "
                    + "16 letters, digits and -._~+/="
            ]
        )
    }

    @Test func `files that are not there are named, and operators' commands do not look for them`() throws {
        let overrides = ["listen.token_file": "/nonexistent/token"]
        #expect(problems(overrides) == ["command line: listen.token_file: /nonexistent/token is not there"])
        let without = try load(overrides, readsSecrets: false)
        #expect(without.listen.token == nil)
    }

    @Test func `secrets in plain text are refused, and not repeated`() throws {
        let file = try ConfigurationFixture("upstream:\n  api_key: planted-key\nlisten:\n  token: planted-token\n")
        let path = file.path
        let error = #expect(throws: ConfigurationError.self) { try load(file: path) }
        #expect(
            error?.description == """
                \(path):2: upstream.api_key: is not given in plain text; upstream.api_key_file names a file that holds it
                \(path):4: listen.token: is not given in plain text; listen.token_file names a file that holds it
                """
        )
        #expect(
            problems(["listen.token": "planted-token"], environment: ["CONTACT_RELAY_UPSTREAM_API_KEY": "planted-key"])
                == [
                    "CONTACT_RELAY_UPSTREAM_API_KEY: is not given in plain text; upstream.api_key_file names a file that "
                        + "holds it",
                    "command line: listen.token: is not given in plain text; listen.token_file names a file that holds it",
                ]
        )
    }

    @Test func `the relay's own key needs somebody who is admitted to it`() throws {
        let credentials = try Credentials(["key": "planted-key", "token": Self.token])
        let key = ["upstream.api_key_file": credentials.directory + "/key"]
        let token = ["listen.token_file": credentials.directory + "/token"]
        let unix = ["listen.unix_socket": "/run/relay.sock"]
        let noTCP = ["listen.address": ""]
        let uids = ["listen.allowed_uids": "0"]
        func found(_ settings: [String: String]...) -> [String] {
            problems(settings.reduce([:]) { $0.merging($1) { $1 } }).map { String($0.prefix(70)) }
        }
        let tcp = "command line: upstream.api_key_file: the relay would send its own API key for everybody who reaches"
        let local =
            "command line: upstream.api_key_file: the relay would send its own API key for every user of this host"
        #expect(found(key) == [String(tcp.prefix(70))])
        #expect(found(key, token) == [] && found(key, token, unix) == [])
        #expect(found(key, unix, uids) == [String(tcp.prefix(70))])
        #expect(found(key, unix, noTCP, uids) == [] && found(key, unix, noTCP, token) == [])
        #expect(found(key, unix, noTCP) == [String(local.prefix(70))])
    }

    @Test func `without an address there must be a Unix socket`() throws {
        #expect(
            problems(["listen.address": ""]) == [
                "command line: listen.address: without an address there must be a listen.unix_socket"
            ]
        )
        let configuration = try load(["listen.address": "", "listen.unix_socket": "/run/relay.sock"])
        #expect(configuration.listen.address == nil && configuration.serverConfiguration.address == nil)
    }

    @Test func `lists are given with commas, or as lists in YAML`() throws {
        let file = try ConfigurationFixture(
            "listen:\n  allowed_hosts: [Relay.Internal, \"192.0.2.7\", 'fd00::7']\n  allowed_uids:\n    - root\n    - 1000\n"
        )
        let configuration = try load(file: file.path)
        #expect(configuration.listen.allowedHosts == ["relay.internal", "192.0.2.7", "fd00::7"])
        #expect(configuration.listen.allowedUIDs.map(\.uid) == [0, 1000])
        let description = configuration.effectiveDescription()
        #expect(description.contains("allowed_hosts: \"relay.internal, 192.0.2.7, fd00::7\""))
        #expect(description.contains("allowed_uids: \"root, 1000\""))
        let clients = configuration.serverConfiguration.clients
        #expect(clients.allowedUIDs == [0, 1000] && clients.allowedHosts == configuration.listen.allowedHosts)
        let without = try load(["listen.allowed_uids": ""], file: file.path)
        #expect(without.serverConfiguration.clients.allowedUIDs == nil)
    }

    @Test(arguments: [
        ("listen.allowed_hosts", "relay:80"), ("listen.allowed_hosts", "http://relay"), ("listen.allowed_hosts", "a b"),
        ("listen.allowed_uids", "no-such-user-here"), ("listen.allowed_uids", "-1"),
        ("listen.allowed_uids", "99999999999"),
    ])
    func `what no list may hold is refused`(key: String, text: String) {
        let found = problems([key: text])
        #expect(found.count == 1 && found.first?.hasPrefix("command line: \(key): must be names or ") == true)
    }
}
