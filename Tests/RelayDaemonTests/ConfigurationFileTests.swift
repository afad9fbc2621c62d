import Testing

@testable import RelayDaemon

/// What the file's form may be, and how problems in it are told.
@Suite struct ConfigurationFileTests {
    /// The problems of a file, without its path.
    private func problems(_ yaml: String) throws -> [String] {
        let file = try ConfigurationFixture(yaml)
        let path = file.path
        do throws(ConfigurationError) {
            _ = try RelayConfiguration.load(file: path, defaultFile: "", environment: [:], overrides: [:])
            return []
        } catch {
            #expect(error.problems.allSatisfy { $0.file == path })
            return error.problems.map { String($0.description.dropFirst(path.count)) }
        }
    }

    @Test(arguments: ["", "\n", "# nothing\n", "---\n", "listen:\nwrites:\n  retry:\n", "{}"])
    func `a file that sets nothing is right`(yaml: String) throws {
        #expect(try problems(yaml) == [])
    }

    @Test func `all problems are reported at once, by line`() throws {
        let yaml = """
            listen:
              port: 99999
              max_head: lots
            upsteam:
              url: https://api.example
            writes:
              replywait: 2s
              retry:
                initial: 5
            max_reply_wait: 2s
            colour: red
            """
        #expect(
            try problems(yaml) == [
                #":2: listen.port: must be a whole number from 0 to 65535, not "99999""#,
                #":3: listen.max_head: must be a size from 1KiB to 1MiB, such as 512B, 64KiB or 2GiB, not "lots""#,
                ":5: upsteam.url: is not a known key; did you mean upstream.url?",
                ":7: writes.replywait: is not a known key; did you mean writes.reply_wait?",
                ":9: writes.retry.initial: must be a duration from 10ms to 1h, such as 250ms, 2s, 5m, 1h or 7d, not \"5\"",
                ":10: max_reply_wait: is not a known key; did you mean writes.max_reply_wait?",
                ":11: colour: is not a known key",
            ]
        )
    }

    @Test func `a list or a section where one value belongs is refused`() throws {
        #expect(
            try problems("listen:\n  port: [1, 2]\n  address:\n    a: b\n") == [
                ":2: listen.port: must be a single value: a whole number from 0 to 65535",
                ":3: listen.address: must be a single value: an IP address or localhost, or \"\" for none",
            ]
        )
    }

    @Test func `a value where a section belongs is refused`() throws {
        #expect(
            try problems("writes:\n  limits: 32\nshutdown: 20s\n") == [
                ":2: writes.limits: is a section with the keys date, first_name, last_name, timestamp",
                ":3: shutdown: is a section with the keys timeout",
            ]
        )
    }

    @Test func `an unknown section without keys is refused`() throws {
        #expect(
            try problems("caches: {}\nnothing:\n") == [
                ":1: caches: is not a known key",
                ":2: nothing: is not a known key",
            ]
        )
    }

    @Test func `a key without a value is refused`() throws {
        #expect(
            try problems("listen:\n  port:\n  unix_socket: ~\n") == [
                ":2: listen.port: has no value; it must be a whole number from 0 to 65535",
                ":3: listen.unix_socket: has no value; it must be a path of at most 107 bytes, or \"\" for none",
            ]
        )
    }

    @Test func `a key may be written with dots, but only once`() throws {
        #expect(try problems("listen.port: 81\n") == [])
        #expect(
            try problems("listen.port: 81\nlisten:\n  port: 82\n") == [
                ":3: listen.port: is given twice, first in line 1"
            ]
        )
    }

    @Test func `a key that is given twice in one section is refused`() throws {
        let found = try problems("listen:\n  port: 81\n  port: 82\n")
        #expect(found.count == 1)
        #expect(found.first?.hasSuffix(": is given twice: port") == true)
    }

    @Test func `a broken file names the line and quotes nothing of it`() throws {
        let found = try problems("log:\n  level: info\nupstream: {url: 'secret\n")
        #expect(found.count == 1)
        #expect(found.first?.hasPrefix(":") == true)
        #expect(found.first?.contains("is not valid YAML") == true)
        #expect(found.first?.contains("secret") == false)
    }

    @Test(arguments: ["just words", "- a\n- b\n", "12"])
    func `a file that is not keys and values is refused`(yaml: String) throws {
        #expect(try problems(yaml) == [":1: the file must hold keys and values, such as `log:`"])
    }

    @Test func `a second document is refused`() throws {
        let found = try problems("log:\n  level: info\n---\nlog:\n  level: debug\n")
        #expect(found.count == 1)
        #expect(found.first?.contains("is not valid YAML") == true)
    }

    @Test func `a key that is not a word is refused`() throws {
        #expect(try problems("[a, b]: c\n") == [":1: a key must be a word"])
    }
}
