import Dispatch
import Foundation
import Logging
import ProxyServer
import Synchronization
import Systemd
import Testing

@testable import RelayDaemon

@Suite struct LivenessWatchTests {
    private func watch() -> LivenessWatch {
        LivenessWatch(
            watchdog: .seconds(20),
            notifier: Notifier(),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
            wallMilliseconds: { 7 }
        )
    }

    private func failing(_ report: HealthReport) -> [String] { report.checks.filter { !$0.isOK }.map(\.name) }

    @Test func `every part has a check of its own`() {
        let report = watch().report()
        #expect(report.isOK)
        #expect(report.checks.map(\.name) == ["event_loop", "task_pool", "commit_thread", "forwarder"])
    }

    @Test(arguments: Liveness.Part.allCases)
    func `a part that makes no progress fails its check, until it does again`(part: Liveness.Part) {
        let watch = watch()
        for verdict in [Liveness.Verdict.waiting([part]), .lost(part)] {
            watch.take(verdict, now: .now)
            let report = watch.report()
            #expect(failing(report) == [part.checkName])
            #expect(report.checks.first { !$0.isOK }?.detail?.isEmpty == false)
        }
        watch.take(.alive, now: .now)
        #expect(watch.report().isOK)
    }

    @Test func `a watch that stands still is not taken for a good verdict`() {
        let (watch, now) = (watch(), ContinuousClock.now)
        watch.take(.alive, now: now)
        #expect(watch.report(now: now + .seconds(11)).isOK)
        #expect(failing(watch.report(now: now + .seconds(13))) == ["watch"])
    }

    @Test func `a pool of tasks that hangs is seen, by a thread that needs no task`() async {
        await #expect(processExitsWith: .success) {
            // A watch that hangs with the pool fails the test instead of hanging it.
            alarm(60)
            let watch = LivenessWatch(
                watchdog: .milliseconds(400),
                notifier: Notifier(),
                logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
                wallMilliseconds: { 7 }
            )
            let (tasks, others) = (TurnCount(), Counter())
            watch.start(
                sample: {
                    let turns = others.next()
                    tasks.askTasks()
                    return Liveness.Sample(eventLoops: turns, tasks: tasks.count, commits: turns, forwarder: turns)
                },
                maxAttempt: { .seconds(60) }
            )
            // Not before the pool has answered: it hangs from then on.
            while tasks.count == 0 { try await Task.sleep(for: .milliseconds(1)) }
            precondition(watch.report().isOK)
            let thread = Thread {
                while watch.report().checks.filter({ !$0.isOK }).map(\.name) != ["task_pool"] { usleep(1_000) }
                exit(0)
            }
            thread.start()
            for _ in 0..<4_096 { Task.detached { blockForever() } }
            try await Task.sleep(for: .seconds(120))
        }
    }

    @Test func `the parts of a daemon that stops are not missed`() {
        let (watch, now) = (watch(), ContinuousClock.now)
        watch.take(.waiting([.forwarder]), now: now)
        watch.stop()
        watch.take(.lost(.commits), now: now)
        #expect(watch.report(now: now + .seconds(60)).isOK)
    }
}

/// Counts what is looked at.
private final class Counter: Sendable {
    private let value = Atomic<UInt64>(0)

    func next() -> UInt64 { value.add(1, ordering: .relaxed).newValue }
}

/// Holds a thread of the pool up, as a call that hangs does.
private func blockForever() {
    while true { sleep(3_600) }
}
