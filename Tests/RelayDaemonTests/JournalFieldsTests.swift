import Logging
import Testing

@testable import RelayDaemon

@Suite struct JournalFieldsTests {
    @Test(arguments: [
        ("write", "RELAY_WRITE_ID"), ("contact", "RELAY_CONTACT"), ("key", "RELAY_KEY"),
        ("status", "RELAY_UPSTREAM_STATUS"), ("next_probe_ms", "RELAY_NEXT_PROBE_MS"), ("a.b-ü", "RELAY_A_B__"),
        (String(repeating: "x", count: 100), "RELAY_" + String(repeating: "X", count: 58)),
    ])
    func `metadata has a field of its own`(key: String, field: String) {
        #expect(JournalFields.name(of: key) == field)
    }

    @Test func `an entry says what happened, how bad it is, and where in the code`() {
        let event = LogEvent(
            level: .warning,
            message: "a write died",
            metadata: ["write": "abc"],
            source: "test",
            file: "File.swift",
            function: "f()",
            line: 7
        )
        let fields = JournalFields.of(event, "a write died write=abc", [("write", "abc")], priority: 4)
        let values = Dictionary(uniqueKeysWithValues: fields.map { ($0.name, $0.value) })
        #expect(
            values == [
                "MESSAGE": "a write died write=abc", "PRIORITY": "4", "SYSLOG_IDENTIFIER": "contact-relay",
                "CODE_FILE": "File.swift", "CODE_LINE": "7", "CODE_FUNC": "f()", "RELAY_EVENT": "a write died",
                "RELAY_WRITE_ID": "abc",
            ]
        )
    }
}
