private import CSystemd
private import Glibc

/// The listening sockets that the service manager opened for this process and passed to it.
package enum SocketActivation {
    /// Returns the passed sockets with their names (`FileDescriptorName=`), in the order of the socket units.
    ///
    /// A socket without a name is called `unknown`. The list is empty when the process was not socket-activated or the
    /// sockets were meant for another process. The descriptors are set to close on exec; whoever takes one owns it.
    /// See sd_listen_fds_with_names(3).
    package static func listenDescriptors() -> [(name: String, fd: Int32)] {
        var names: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
        let count = sd_listen_fds_with_names(0, &names)
        defer { release(names) }
        guard count > 0 else { return [] }
        // The first descriptor is SD_LISTEN_FDS_START: always 3, after the three standard ones.
        return (0..<count).map { offset in
            let name = names?[Int(offset)].map { String(cString: $0) }
            return (name: name ?? "unknown", fd: SD_LISTEN_FDS_START + offset)
        }
    }

    /// The library allocates the list and each name, and its caller frees them.
    private static func release(_ names: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?) {
        guard let names else { return }
        var index = 0
        while let name = names[index] {
            free(name)
            index += 1
        }
        free(names)
    }
}
