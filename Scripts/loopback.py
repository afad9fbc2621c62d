"""Starts the programs of this repository, and others beside them, on loopback, and ends them whatever happens."""

import ctypes
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent

_PR_SET_PDEATHSIG = 1


class Failure(Exception):
    """Something is not as it must be; the message is for the reader of the script's output."""


def binaries():
    """The folder with the programs: $BIN, from the root of the repository."""
    folder = ROOT / os.environ.get("BIN", ".build/release")
    for name in ("contact-relay", "dexatel-simulator"):
        if not os.access(folder / name, os.X_OK):
            raise Failure(f"{folder / name} is not there: build it first (make does)")
    return folder


def clean_environment(**settings):
    """This environment without what would configure a relay, and with the settings given instead."""
    foreign = ("CONTACT_RELAY_", "STATE_DIRECTORY", "RUNTIME_DIRECTORY", "CREDENTIALS_DIRECTORY")
    foreign += ("NOTIFY_SOCKET", "WATCHDOG_", "LISTEN_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return kept | settings


def free_port():
    """A TCP port of loopback that nobody uses just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition, what, seconds, process=None):
    """The first true value of a condition; a Failure when the time is over or the process has ended."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if process and process.has_ended():
            raise Failure(f"{process.name} ended with status {process.returncode} before {what}")
        if time.monotonic() > deadline:
            raise Failure(f"after {seconds} s there is still not: {what}")
        time.sleep(0.02)


def fetch(url, method="GET", body=None, headers=None, seconds=10):
    """Status and body of a reply; status 0 where there was none."""
    request = urllib.request.Request(url, data=body, method=method, headers=headers or {})
    try:
        with _opener.open(request, timeout=seconds) as reply:
            return reply.status, reply.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError:
        return 0, b""


# A proxy of the environment is not for loopback.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def fetch_json(url, **arguments):
    """A reply's JSON; a Failure unless its status is 200."""
    status, body = fetch(url, **arguments)
    if status != 200:
        raise Failure(f"{url} answered {status or 'nothing'}: {body[:200]!r}")
    return json.loads(body)


def _die_with_parent():
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _family(pid):
    """A process and its children, and theirs, that live."""
    yield pid
    for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        yield from _family(int(child))


def _cpu_seconds(pid):
    # The clock of clock_getcpuclockid(3), in nanoseconds: /proc/PID/stat counts in steps of 10 ms.
    return time.clock_gettime((~pid << 3) | 2)


class Process:
    """A program that runs until it is stopped; its output goes to a file."""

    def __init__(self, name, command, log, env=None):
        self.name = name
        self.log = pathlib.Path(log)
        with open(self.log, "ab") as output:
            # In a session of its own, so that Ctrl-C reaches only the script, which then ends everything in order.
            self._process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=env or clean_environment(),
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )

    @property
    def pid(self):
        return self._process.pid

    @property
    def returncode(self):
        return self._process.returncode

    def has_ended(self):
        return self._process.poll() is not None

    def cpu_seconds(self):
        """User and system time so far, of all threads and of the workers that it has started."""
        return sum(map(_cpu_seconds, _family(self.pid)))

    def memory_kib(self):
        """The resident set (proc(5), VmRSS)."""
        return self._memory("VmRSS:")

    def peak_memory_kib(self):
        """The largest resident set so far (proc(5), VmHWM)."""
        return self._memory("VmHWM:")

    def _memory(self, name):
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1])
        return None

    def kill(self):
        """kill -9"""
        self._process.kill()
        self._process.wait()

    def stop(self, seconds=30):
        """SIGTERM, and SIGKILL when that takes too long; the exit status."""
        if not self.has_ended():
            self._process.terminate()
            try:
                self._process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.returncode

    def log_tail(self, lines=30):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


class Processes:
    """Everything that a script has started: a context that ends it, the last one first."""

    def __init__(self):
        self._all = []

    def start(self, *arguments, **keywords):
        process = Process(*arguments, **keywords)
        self._all.append(process)
        return process

    def start_simulator(self, folder, *options):
        """A simulator on free ports, once it is ready."""
        simulator = self.start(
            "dexatel-simulator",
            [binaries() / "dexatel-simulator", "--port", "0", "--control-port", "0", *options],
            pathlib.Path(folder) / "simulator.log",
        )
        ready = "dexatel-simulator ready "
        line = wait_until(
            lambda: next((line for line in simulator.log.read_text().splitlines() if line.startswith(ready)), None),
            "its line that tells it is ready",
            60,
            simulator,
        )
        addresses = dict(part.split("=", 1) for part in line.removeprefix(ready).split())
        simulator.api, simulator.control = addresses["api"], addresses["control"]
        return simulator

    def start_relay(self, folder, configuration, port):
        """A relay with this configuration file, once it is ready to take writes."""
        relay = self.start(
            "contact-relay",
            [binaries() / "contact-relay", "serve", "--config", configuration],
            pathlib.Path(folder) / "relay.log",
        )
        relay.url = f"http://127.0.0.1:{port}"
        wait_until(lambda: fetch(relay.url + "/_relay/ready")[0] == 200, "it was ready", 60, relay)
        return relay

    def __enter__(self):
        # A terminal that is closed, or a kill, ends the script as Ctrl-C does: through __exit__.
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: sys.exit(1))
        return self

    def __exit__(self, kind, error, _):
        if isinstance(error, Failure):
            for process in self._all:
                if process.log.stat().st_size:
                    print(f"\n--- the end of {process.log.name}\n{process.log_tail()}", file=sys.stderr)
        for process in reversed(self._all):
            process.stop(10)
        return False
