import AdminAPI
import ArgumentParser
import Foundation

/// `contact-relay key replace`.
struct KeyReplace: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replace",
        abstract: "Let a new API key take over what is pending of another one.",
        discussion: """
            The new key comes from standard input or a file, never from the command line. It is tried first: it takes \
            over once the upstream has answered 200 with it for a contact of the old key. The old key is refused from \
            then on.
            """
    )

    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var confirmation: ConfirmationOptions

    @Argument(
        help: ArgumentHelp("The old key's fingerprint, or its beginning (see key list).", valueName: "fingerprint")
    )
    var fingerprint: String

    @Option(
        help: ArgumentHelp("A file with the new key; standard input unless told.", valueName: "path"),
        completion: .file()
    )
    var from: String?

    @Option(help: ArgumentHelp("The contact to try it with, one of the old key's.", valueName: "contact"))
    var contact: String?

    @Flag(help: "Print JSON.")
    var json = false

    func validate() throws {
        guard !fingerprint.isEmpty, fingerprint.count <= 32, fingerprint.allSatisfy(\.isHexDigit) else {
            throw ValidationError("A fingerprint is hexadecimal digits, such as key list shows; not the key itself.")
        }
        if let contact, ContactName(contact) == nil {
            throw ValidationError("\(contact) does not name a contact: AUDIENCE/CONTACT takes two UUIDs.")
        }
    }

    func run() async throws {
        try await ExitStatus.explaining {
            let client = try await daemon.client()
            let prefix = fingerprint.lowercased()
            let named = try await client.keys().keys.filter { $0.fingerprint.hasPrefix(prefix) && $0.successor == nil }
            let key = try NewKey.read(from: from)
            if let old = named.first, named.count == 1 {
                let writes = StatusLine.grouped(Int64(old.pending + old.dead))
                try confirmation.require(
                    "Replace key \(old.fingerprint.prefix(12)), of \(writes) open writes, for good?"
                )
            }
            let request = KeyReplacementRequest(key: key, contact: contact.flatMap { ContactName($0) })
            let reply = try await client.replaceKey(prefix, request)
            if json { return try Output.json(reply) }
            try Output.print("replaced by key \(reply.fingerprint.prefix(12))")
            try Output.print("  tried with \(reply.contact)")
            try Output.print(
                reply.accountCompared ? "  of the same account" : "  the old key's account is not known here"
            )
        }
    }
}
