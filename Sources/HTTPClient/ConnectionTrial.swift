package import NIOCore
import NIOPosix

extension OriginClient {
    /// Finds out whether the origin can be reached: makes one connection, TLS included, and closes it at once.
    ///
    /// It takes no place of a pool and sends no request; the configuration's `connectTimeout` bounds it.
    ///
    /// - Returns: Why there is none, nil if it stood.
    package static func tryConnection(
        _ configuration: OriginConfiguration,
        on eventLoop: any EventLoop
    ) async -> ExchangeFailure? {
        await withCheckedContinuation { continuation in
            eventLoop.execute {
                let pool = LoopPool(configuration, places: 1, maxWaiting: 0, eventLoop, PoolLoad())
                Dialer(pool).start { result in
                    switch result {
                    case .success(let connection):
                        connection.close()
                        continuation.resume(returning: nil)
                    case .failure(let failure): continuation.resume(returning: failure)
                    }
                }
            }
        }
    }
}
