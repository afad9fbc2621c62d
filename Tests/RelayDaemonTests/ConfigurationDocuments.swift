import Foundation
import RelayDaemon

/// The documents that follow the table of settings, as they must read.
enum ConfigurationDocuments {
    /// The folder that holds `Tests`.
    static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()
    static let example = root.appending(path: "etc/contact-relay/contact-relay.yaml")
    static let reference = root.appending(path: "docs/configuration.md")

    /// Where systemd lets the packaged service keep its files: what the example shows for defaults that depend on it.
    static let serviceEnvironment = [
        "STATE_DIRECTORY": "/var/lib/contact-relay",
        "RUNTIME_DIRECTORY": "/run/contact-relay",
    ]

    /// Every setting as a comment at its default, under its explanation.
    static func exampleText(defaults: RelayConfiguration) -> String {
        var lines = [
            "# Contact Relay: configuration. docs/configuration.md explains every key.",
            "#",
            "# Every line that starts with # and a key shows a default: remove the # to change the value.",
            "# The environment (CONTACT_RELAY_WRITES_REPLY_WAIT for writes.reply_wait) overrides this file, and the",
            "# command line overrides the environment. `contact-relay check` validates and prints what holds.",
        ]
        let settings = defaults.effectiveDescription().split(separator: "\n")
        var keys = ConfigurationKey.all[...]
        for setting in settings {
            let indentation = setting.prefix { $0 == " " }
            let text = setting.dropFirst(indentation.count)
            if text.hasSuffix(":") {
                lines += (indentation.isEmpty ? [""] : []) + [String(setting)]
            } else if let key = keys.popFirst() {
                lines += wrapped(explanation(of: key), indentation + "# ") + ["\(indentation)#\(text)"]
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// The table of the reference.
    static func referenceTable() -> String {
        let rows = ConfigurationKey.all.map { key in
            let value = key.derivedDefault ?? (key.defaultText.isEmpty ? "none" : "`\(key.defaultText)`")
            return
                "| `\(key.name)` | \(value) | \(key.allowed) | \(key.summary) | \(key.needsRestart ? "restart" : "reload") |"
        }
        return (["| key | default | allowed | purpose | a change needs a |", "|---|---|---|---|---|"] + rows).joined(
            separator: "\n"
        )
    }

    private static func explanation(of key: ConfigurationKey) -> String {
        let byDefault = key.derivedDefault.map { " Default: \($0)." } ?? ""
        return "\(key.summary) Allowed: \(key.allowed).\(byDefault)"
    }

    private static func wrapped(_ text: String, _ prefix: String) -> [String] {
        text.split(separator: " ").reduce(into: []) { lines, word in
            if let last = lines.last, last.count + 1 + word.count <= 100 {
                lines[lines.count - 1] = "\(last) \(word)"
            } else {
                lines.append(prefix + word)
            }
        }
    }
}
