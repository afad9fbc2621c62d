import Logging
import Testing

@testable import RelayDaemon

@Suite struct ConfigurationChangeTests {
    @Test func `new values take effect, and are named`() {
        var new = RelayConfiguration()
        new.writes.replyWait = .seconds(1)
        new.upstream.url = "https://other.example"
        let change = ConfigurationChange(from: RelayConfiguration(), to: new)
        #expect(change.effective == new)
        #expect(change.changed == ["upstream.url", "writes.reply_wait"])
        #expect(change.needsRestart == [])
    }

    @Test func `what cannot change while the daemon runs keeps its value, and is named`() {
        var running = RelayConfiguration()
        running.listen.unixSocket = "/run/a.sock"
        var new = running
        new.listen.port = 9_000
        new.listen.unixSocket = nil
        new.state.directory = "/elsewhere"
        new.log.level = .debug
        let change = ConfigurationChange(from: running, to: new)
        #expect(change.needsRestart == ["listen.port", "listen.unix_socket", "state.directory"])
        #expect(change.changed == ["log.level"])
        running.log.level = .debug
        #expect(change.effective == running)
    }

    @Test func `a change that waits for a restart is named at every reload until then`() {
        var new = RelayConfiguration()
        new.reads.diskBytes = 0
        let first = ConfigurationChange(from: RelayConfiguration(), to: new)
        let second = ConfigurationChange(from: first.effective, to: new)
        #expect(second.needsRestart == ["reads.disk"])
        #expect(ConfigurationChange(from: second.effective, to: RelayConfiguration()).needsRestart == [])
    }

    @Test func `exactly what is built at the start needs a restart`() {
        #expect(
            ConfigurationKey.all.filter(\.needsRestart).map(\.name) == [
                "listen.address", "listen.port", "listen.unix_socket", "listen.allow_remote", "writes.put_semantics",
                "writes.on_dead_url", "reads.disk", "state.directory", "admin.socket", "log.format",
            ]
        )
    }

    /// Otherwise the value in force could not be kept.
    @Test(arguments: ConfigurationKey.all.map(\.name))
    func `a value is read as it is written`(name: String) throws {
        let key = try #require(ConfigurationKey.all.first { $0.name == name })
        var copy = RelayConfiguration()
        #expect(key.set(key.text(in: copy), in: &copy))
        #expect(copy == RelayConfiguration())
    }
}
