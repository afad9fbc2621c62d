import NIOCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// A lack of descriptors, ports or memory on this side, which says nothing of the peer.
enum Shortage {
    /// Whether an error of making a connection comes from such a lack.
    ///
    /// Without a descriptor a name cannot be looked up, and a connection not be made in time, and those errors do not say
    /// why.
    static func isBehind(_ error: any Error) -> Bool {
        switch error {
        case let error as IOError: self.isMeant(error.errnoCode)
        case is AddressResolver.Failure, ChannelError.connectTimeout: self.isAcute
        default: false
        }
    }

    /// Whether no file can be opened just now.
    static var isAcute: Bool {
        let descriptor = open("/dev/null", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return self.isMeant(errno) }
        close(descriptor)
        return false
    }

    private static func isMeant(_ errorNumber: Int32) -> Bool {
        [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(errorNumber)
    }
}
