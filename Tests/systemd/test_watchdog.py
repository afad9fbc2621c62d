import os
import pathlib
import re
import signal
import subprocess

from support import *

# Longer than the test waits: what is held up stays so until systemd ends it.
HELD_UP_MICROSECONDS = 600_000_000


class WatchdogTests(RelayTestCase):
    """Whatever part of a relay stands still, systemd starts it anew, and nothing is lost (design §7)."""

    def setUp(self):
        super().setUp()
        self.tracers = []
        self.addCleanup(self.let_go)
        drop_in("[Service]\nWatchdogSec=3s\n")
        self.start()

    def test_a_relay_that_works_is_left_alone(self):
        before = main_pid()
        fed = lambda: int(shown("WatchdogTimestampMonotonic"))
        start = fed()
        # Three times the period, as systemd's own clock has it.
        self.wait(lambda: fed() > start + 9_000_000, "news for the watchdog over three periods")
        self.assertEqual((main_pid(), shown("NRestarts")), (before, "0"))

    def test_a_process_that_stands_still_is_ended(self):
        self.assert_restarted(lambda pid: os.kill(pid, signal.SIGSTOP))

    def test_an_event_loop_that_does_not_turn_is_noticed(self):
        self.assert_restarted(lambda pid: self.hold_up(threads(pid, "NIO-ELT"), "epoll_wait,epoll_pwait"))

    def test_a_forwarder_that_does_not_turn_is_noticed(self):
        # Deliveries are tasks, which these threads run.
        self.assert_restarted(lambda pid: self.hold_up(threads(pid, "default-qos"), "futex"))

    def test_a_disk_that_hangs_is_noticed(self):
        def hang(pid):
            self.hold_up(threads(pid), "fsync,fdatasync")
            # The next commit is the one that hangs; nobody is told that it is durable.
            late = ["curl", "--silent", "--request", "PUT", "--header", f"X-Dexatel-Key: {KEY}", "--header"]
            late += ["Content-Type: application/json", "--data", '{"data":{}}', f"{RELAY}{LIST}/{CONTACT}"]
            self.addCleanup(end, subprocess.Popen(late, stdout=subprocess.DEVNULL))

        self.assert_restarted(hang)

    def assert_restarted(self, trouble):
        self.go_down()
        updates = self.queue(50)
        before = main_pid()
        trouble(before)
        # What systemd itself says of it: the time ran out, or the relay said that it is lost.
        said = lambda: texts(journal(self.cursor, UNIT=SERVICE))
        self.wait(lambda: re.search("Watchdog (timeout|request)", said()), "the watchdog")
        # A thread that strace holds up cannot end before strace does.
        self.let_go()
        self.wait(lambda: is_active() and main_pid() not in (0, before), "a restart")
        self.assertEqual(shown("NRestarts"), "1")
        self.assertGreaterEqual(outbox()["pending"], 50)
        self.set_upstream("up")
        self.wait(lambda: outbox()["pending"] == 0, "nothing pending")
        self.assertLessEqual(set(updates), set(self.applied()))

    def hold_up(self, tids, calls):
        """Lets the next of these system calls of each of these threads last for longer than anybody waits."""
        self.assertTrue(tids, "there are no such threads")
        attached = [argument for tid in tids for argument in ("-p", str(tid))]
        fault = f"inject={calls}:delay_enter={HELD_UP_MICROSECONDS}"
        tracer = subprocess.Popen(
            ["strace", "-o", "/dev/null", "-e", f"trace={calls}", "-e", fault, *attached],
            stderr=subprocess.PIPE,
            text=True,
        )
        self.tracers.append(tracer)
        for _ in tids:
            line = tracer.stderr.readline()
            self.assertIn("attached", line)

    def let_go(self):
        while self.tracers:
            end(self.tracers.pop())


def threads(pid, name=""):
    """The threads of a process whose name has this in it."""
    tasks = pathlib.Path(f"/proc/{pid}/task").iterdir()
    return [int(task.name) for task in tasks if name in (task / "comm").read_text()]


def end(process):
    process.kill()
    process.wait()
    if process.stderr:
        process.stderr.close()
