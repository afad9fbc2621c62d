import Glibc
import Systemd
import Testing

/// Each test that changes the environment does it in a process of its own: the environment is shared with every other
/// suite of the test process, and changing it is not safe beside other threads' reading.
@Suite struct NotifierTests {
    @Test func `without a service manager nothing is sent`() async {
        await #expect(processExitsWith: .success) {
            unsetenv("NOTIFY_SOCKET")
            let notifier = Notifier()
            #expect(notifier.ready() == false)
            #expect(notifier.status("fine") == false)
            #expect(notifier.notify([.ready, .status("fine")]) == false)
        }
    }

    @Test func `a service manager that is gone is no failure`() async {
        await #expect(processExitsWith: .success) {
            setenv("NOTIFY_SOCKET", "/nonexistent/notify", 1)
            #expect(Notifier().ready() == false)
        }
    }

    @Test func `each report has the text that the service manager expects`() async {
        await #expect(processExitsWith: .success) {
            let socket = try NotifySocket()
            setenv("NOTIFY_SOCKET", socket.path, 1)
            let notifier = Notifier()

            #expect(notifier.ready())
            #expect(socket.receive() == "READY=1")
            #expect(notifier.status("upstream down 4 min"))
            #expect(socket.receive() == "STATUS=upstream down 4 min")
            #expect(notifier.watchdog())
            #expect(socket.receive() == "WATCHDOG=1")
            #expect(notifier.watchdogTrigger())
            #expect(socket.receive() == "WATCHDOG=trigger")
            #expect(notifier.stopping())
            #expect(socket.receive() == "STOPPING=1")
            #expect(notifier.reloading(monotonicMicroseconds: 123_456_789))
            #expect(socket.receive() == "RELOADING=1\nMONOTONIC_USEC=123456789")
            #expect(notifier.extendTimeout(microseconds: 5_000_000))
            #expect(socket.receive() == "EXTEND_TIMEOUT_USEC=5000000")
            #expect(notifier.failed(errno: 28, exitStatus: 74, status: "disk full"))
            #expect(socket.receive() == "STATUS=disk full\nERRNO=28\nEXIT_STATUS=74")
        }
    }

    /// Were it to wait, it would wait for ever: the socket takes a few messages, and nobody reads.
    @Test(.timeLimit(.minutes(1)))
    func `a service manager that does not listen holds nobody up who does not want to wait`() async {
        await #expect(processExitsWith: .success) {
            let socket = try NotifySocket()
            setenv("NOTIFY_SOCKET", socket.path, 1)
            let notifier = Notifier(waits: false)
            #expect(notifier.ready())
            var dropped = 0
            for number in 0..<10_000 where !notifier.status("status \(number)") { dropped += 1 }
            #expect(dropped > 0)
            #expect(notifier.stopping())
            #expect(socket.receive() == "READY=1")
            var last = ""
            while last != "STOPPING=1" { last = try #require(socket.receive()) }
        }
    }

    @Test func `several states go out as one message`() async {
        await #expect(processExitsWith: .success) {
            let socket = try NotifySocket()
            setenv("NOTIFY_SOCKET", socket.path, 1)
            #expect(Notifier().notify([.ready, .status("serving"), .watchdog]))
            #expect(socket.receive() == "READY=1\nSTATUS=serving\nWATCHDOG=1")
        }
    }

    @Test func `an empty list of states is not a message`() async {
        await #expect(processExitsWith: .success) {
            let socket = try NotifySocket()
            setenv("NOTIFY_SOCKET", socket.path, 1)
            #expect(Notifier().notify([]) == false)
            #expect(Notifier().ready())
            #expect(socket.receive() == "READY=1")
        }
    }

    @Test func `a status cannot smuggle in further lines`() async {
        await #expect(processExitsWith: .success) {
            let socket = try NotifySocket()
            setenv("NOTIFY_SOCKET", socket.path, 1)
            let notifier = Notifier()
            #expect(notifier.status("one\nREADY=1\r\n\ntwo\u{2028}three\u{0}four\n"))
            #expect(socket.receive() == "STATUS=one READY=1 two three four")
            #expect(notifier.status("1 204 pending, 98 % hits, größer"))
            #expect(socket.receive() == "STATUS=1 204 pending, 98 % hits, größer")
        }
    }

    @Test func `the watchdog interval is the service manager's`() async {
        await #expect(processExitsWith: .success) {
            unsetenv("WATCHDOG_PID")
            setenv("WATCHDOG_USEC", "30000000", 1)
            #expect(Notifier().watchdogInterval == .seconds(30))
        }
    }

    @Test func `there is no watchdog interval when nobody watches this process`() async {
        await #expect(processExitsWith: .success) {
            unsetenv("WATCHDOG_USEC")
            #expect(Notifier().watchdogInterval == nil)
            setenv("WATCHDOG_USEC", "30000000", 1)
            setenv("WATCHDOG_PID", "1", 1)
            #expect(Notifier().watchdogInterval == nil)
        }
    }
}
