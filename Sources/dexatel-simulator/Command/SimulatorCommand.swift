import ArgumentParser
import Glibc

/// `dexatel-simulator`: a stand-in for the Dexatel Contacts API.
@main
struct SimulatorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dexatel-simulator",
        abstract: "A stand-in for the Dexatel Contacts API, with faults that can be switched while it runs.",
        discussion: """
            When both ports are bound, one line goes to standard output:
            dexatel-simulator ready api=http://127.0.0.1:9090 control=http://127.0.0.1:9091
            SIGTERM and SIGINT end it.
            """
    )

    @Option(help: "The IP address of both ports.")
    var listen = "127.0.0.1"

    @Option(help: "The port of the API; 0 takes a free one.")
    var port: UInt16 = 9090

    @Option(help: "The port of the control calls; 0 takes a free one.")
    var controlPort: UInt16 = 9091

    @Option(help: "What PUT does to fields that it leaves out: merge keeps them, replace clears them.")
    var putSemantics = SimulatorSettings.PutSemantics.merge

    @Option(help: "An API key that is let in (repeatable); without any, every key is.")
    var knownKey: [String] = []

    @Option(help: "An API key that gets 403 (repeatable).")
    var forbiddenKey: [String] = []

    @Option(help: "How many contacts there are in the example's audience from the start.")
    var seedContacts = 0

    @Flag(
        exclusivity: .exclusive,
        help: "What PUT to an unknown contact does: 404 with code 1351 (as the real API), or make it."
    )
    var unknownContacts = UnknownContacts.strictContacts

    @Option(help: "Cache-Control of replies to GET.")
    var cacheControl: String?

    @Flag(name: .customLong("etag"), help: "Send strong ETags in replies to GET and answer If-None-Match.")
    var sendsETags = false

    @Option(help: "How many requests the log keeps; the oldest go first.")
    var logLimit = 1_000_000

    enum UnknownContacts: String, EnumerableFlag {
        case strictContacts
        case createOnPut
    }

    func validate() throws {
        guard (0...1_000_000).contains(seedContacts) else {
            throw ValidationError("--seed-contacts must be from 0 to 1000000.")
        }
        guard logLimit >= 0 else { throw ValidationError("--log-limit must not be negative.") }
        // A line break would let the value add header fields of its own.
        guard cacheControl?.utf8.contains(where: { $0 < 0x20 }) != true else {
            throw ValidationError("--cache-control must be one line.")
        }
    }

    func run() async throws {
        let server = try await SimulatorServer.start(options)
        print(server.readyLine)
        fflush(nil)
        await TerminationSignal.wait()
        try await server.stop()
    }

    /// The command line, as the server takes it.
    var options: SimulatorOptions {
        SimulatorOptions(
            host: listen,
            port: Int(port),
            controlPort: Int(controlPort),
            logLimit: logLimit,
            settings: SimulatorSettings(
                putSemantics: putSemantics,
                knownKeys: Set(knownKey),
                forbiddenKeys: Set(forbiddenKey),
                createsOnPut: unknownContacts == .createOnPut,
                seedContactCount: seedContacts,
                cacheControl: cacheControl,
                sendsETags: sendsETags
            )
        )
    }
}

extension SimulatorSettings.PutSemantics: ExpressibleByArgument {}
