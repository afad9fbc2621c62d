#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// A lack of descriptors, ports or memory on this host, which says nothing of the upstream.
enum DescriptorShortage {
    /// Whether it is why a connection could not be made.
    ///
    /// - Parameter errorNumber: The system's error number. Without one it may be hidden: a name is not found, either, while no
    ///   file can be opened.
    static func explains(_ errorNumber: Int32?) -> Bool {
        guard let errorNumber else { return isExhausted }
        return [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(errorNumber)
    }

    /// Whether no file can be opened just now.
    private static var isExhausted: Bool {
        let descriptor = open("/dev/null", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return explains(errno) }
        close(descriptor)
        return false
    }
}
