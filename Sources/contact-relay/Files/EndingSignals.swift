import Dispatch
import Foundation

/// Lets a command have a last word when a signal ends it.
struct EndingSignals {
    private let sources: [any DispatchSourceSignal]

    /// - Parameter lastWord: Called once, on a thread of its own, before the process ends with 128 and the signal's number.
    init(_ lastWord: @escaping @Sendable () -> Void) {
        sources = [SIGINT, SIGTERM, SIGHUP].map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler {
                lastWord()
                _exit(128 + number)
            }
            source.resume()
            return source
        }
    }
}
