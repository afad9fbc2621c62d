import Glibc
import Systemd
import Testing

@Suite struct SocketActivationTests {
    @Test func `passed sockets come with their names, in order`() async {
        await #expect(processExitsWith: .success) {
            // Descriptors 3 and 4 must exist; what they are does not matter here.
            while case let lowest = open("/dev/null", O_RDONLY), lowest <= 4 { try #require(lowest >= 0) }
            setenv("LISTEN_PID", String(getpid()), 1)
            setenv("LISTEN_FDS", "2", 1)
            setenv("LISTEN_FDNAMES", "http:unix", 1)
            let passed = SocketActivation.listenDescriptors()
            #expect(passed.map(\.name) == ["http", "unix"])
            #expect(passed.map(\.fd) == [3, 4])
            #expect(passed.allSatisfy { fcntl($0.fd, F_GETFD) & FD_CLOEXEC != 0 })
        }
    }

    @Test func `sockets without names are called unknown`() async {
        await #expect(processExitsWith: .success) {
            while case let lowest = open("/dev/null", O_RDONLY), lowest <= 4 { try #require(lowest >= 0) }
            setenv("LISTEN_PID", String(getpid()), 1)
            setenv("LISTEN_FDS", "1", 1)
            unsetenv("LISTEN_FDNAMES")
            #expect(SocketActivation.listenDescriptors().map(\.name) == ["unknown"])
        }
    }

    @Test func `sockets for another process are left alone`() async {
        await #expect(processExitsWith: .success) {
            setenv("LISTEN_PID", "1", 1)
            setenv("LISTEN_FDS", "1", 1)
            #expect(SocketActivation.listenDescriptors().isEmpty)
        }
    }

    @Test func `a process that was not socket-activated has no sockets`() async {
        await #expect(processExitsWith: .success) {
            unsetenv("LISTEN_PID")
            unsetenv("LISTEN_FDS")
            #expect(SocketActivation.listenDescriptors().isEmpty)
        }
    }
}
