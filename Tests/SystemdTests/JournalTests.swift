import Glibc
import Systemd
import Testing

@Suite struct JournalTests {
    @Test func `standard error is the journal's only if the variable names it`() {
        var status = stat()
        #expect(fstat(STDERR_FILENO, &status) == 0)
        #expect(Journal.isStandardError("\(status.st_dev):\(status.st_ino)"))
        // Inherited by a program whose standard error was sent elsewhere since.
        #expect(!Journal.isStandardError("\(status.st_dev):\(status.st_ino + 1)"))
        #expect(!Journal.isStandardError(nil))
        #expect(!Journal.isStandardError("nonsense"))
    }
}
