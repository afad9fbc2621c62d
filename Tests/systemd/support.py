"""What tests in a machine with a real systemd share: the unit, its configuration, the simulated API, the journal."""

import http.client
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "Scripts"))
from loopback import Failure, Processes, fetch, fetch_json, wait_until  # noqa: E402

SERVICE, SOCKET = "contact-relay.service", "contact-relay.socket"
CONFIGURATION = pathlib.Path("/etc/contact-relay/contact-relay.yaml")
DROP_INS = pathlib.Path("/run/systemd/system")
STATE = pathlib.Path("/var/lib/private/contact-relay")
RELAY = "http://127.0.0.1:8080"

KEY = "94d2f2f2884848bca861264ad86d8ace"
AUDIENCE = "22089fd7-7b74-4815-8452-3a8e864affbc"
CONTACT = "fe84f52d-d05e-4af6-b93a-08dc0110f536"
LIST = f"/v1/audiences/{AUDIENCE}/contacts"

# How long anything may take that is waited for; much longer than it does.
PATIENCE_SECONDS = 60


def run(*command, check=True):
    """What a command prints, on both streams."""
    result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if check and result.returncode:
        raise Failure(f"{' '.join(command)} ended with status {result.returncode}:\n{result.stdout}")
    return result.stdout


def systemctl(*arguments, check=True):
    return run("systemctl", *arguments, check=check)


def shown(name, unit=SERVICE):
    """A property of a unit."""
    return systemctl("show", "--property", name, "--value", unit).strip()


def main_pid(unit=SERVICE):
    return int(shown("MainPID", unit))


def is_active(unit=SERVICE):
    return shown("ActiveState", unit) == "active"


def ready():
    return fetch(RELAY + "/_relay/ready")[0]


def status():
    return fetch_json(RELAY + "/_relay/status")


def outbox():
    return status()["outbox"]


def drop_in(text, unit=SERVICE):
    """Changes a unit until the test is over."""
    folder = DROP_INS / f"{unit}.d"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "test.conf").write_text(text)
    systemctl("daemon-reload")


def configure(text):
    CONFIGURATION.parent.mkdir(exist_ok=True)
    CONFIGURATION.write_text(text)
    # The service's user is not root.
    CONFIGURATION.chmod(0o644)


def put(contact, data, key=KEY, prefer=None, url=RELAY, headers=None):
    """Status, headers and body of the reply to an update."""
    fields = {"Content-Type": "application/json"} | (headers or {})
    if key:
        fields["X-Dexatel-Key"] = key
    if prefer:
        fields["Prefer"] = prefer
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=PATIENCE_SECONDS)
    try:
        connection.request("PUT", f"{LIST}/{contact}", json.dumps({"data": data}), fields)
        reply = connection.getresponse()
        return reply.status, dict(reply.getheaders()), reply.read()
    finally:
        connection.close()


def receipt(location, key=KEY):
    return fetch_json(RELAY + location, headers={"X-Dexatel-Key": key})


def journal(cursor, **fields):
    """Entries since a cursor that have these fields, as dictionaries."""
    run("journalctl", "--sync")
    # Without matches: with them journalctl takes the entry behind the cursor for the cursor's own, and leaves it out.
    lines = run("journalctl", "--no-pager", "--output=json", f"--after-cursor={cursor}").splitlines()
    entries = [json.loads(line) for line in lines if line.startswith("{")]
    return [entry for entry in entries if fields.items() <= {k: v for k, v in entry.items() if isinstance(v, str)}.items()]


def journal_cursor():
    run("journalctl", "--sync")
    output = run("journalctl", "--no-pager", "--lines=1", "--show-cursor", "--quiet")
    return output.rpartition("-- cursor: ")[2].strip()


def texts(entries):
    return "\n".join(str(entry.get("MESSAGE")) for entry in entries)


class RelayTestCase(unittest.TestCase):
    """A test with a machine as after an installation: nothing runs, no state, the configuration that it asks for."""

    maxDiff = None

    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.processes = self.enterContext(Processes())
        self.reset()
        self.addCleanup(self.reset)
        self.cursor = journal_cursor()

    def reset(self):
        systemctl("stop", SOCKET, SERVICE, "contact-relay@*.socket", "contact-relay@*.service", check=False)
        systemctl("reset-failed", check=False)
        for folder in DROP_INS.glob("contact-relay*.d"):
            shutil.rmtree(folder)
        for folder in pathlib.Path("/var/lib/private").glob("contact-relay*"):
            shutil.rmtree(folder)
        for file in CONFIGURATION.parent.glob("*"):
            file.unlink()
        systemctl("daemon-reload")

    # How many contacts the simulated API has.
    seeded = 200

    def start_simulator(self, *options):
        return self.processes.start_simulator(self.folder, "--seed-contacts", str(self.seeded), "--known-key", KEY, *options)

    def set_upstream(self, mode):
        self.set_faults({"mode": mode})

    def set_faults(self, faults):
        status, body = fetch(self.simulator.control + "/faults", method="PUT", body=json.dumps(faults).encode())
        self.assertEqual(status, 200, body)

    def start(self, *options, settings="", socket=True):
        """Starts a simulator and the relay before it."""
        self.simulator = self.start_simulator(*options)
        configure(f'upstream:\n  url: "{self.simulator.api}"\n{settings}')
        systemctl("start", *([SOCKET] if socket else []), SERVICE)

    def contacts(self, count):
        """Identifiers of contacts that the simulated API has."""
        reply = fetch_json(f"{self.simulator.api}{LIST}?page_size={count}", headers={"X-Dexatel-Key": KEY})
        identifiers = [contact["id"] for contact in reply["data"]]
        self.assertEqual(len(identifiers), count)
        return identifiers

    def queue(self, count):
        """Updates of that many contacts that are queued, as (contact, value); the API has to be down."""
        known = self.queueable
        updates = [(contact, f"queued {number}") for number, contact in enumerate(known[:count])]
        for contact, value in updates:
            code, _, body = put(contact, {"first_name": value}, prefer="respond-async")
            self.assertEqual(code, 202, body)
        return updates

    def applied(self):
        """What the simulated API has taken, in order, as (contact, first name)."""
        log = fetch_json(self.simulator.control + "/log", seconds=PATIENCE_SECONDS)
        return [
            (entry["contact"], entry["body"]["data"].get("first_name"))
            for entry in log
            if entry["method"] == "PUT" and entry["applied"]
        ]

    def go_down(self, count=50):
        """Takes the API down once contacts to be updated are known."""
        self.queueable = self.contacts(count)
        self.set_upstream("down")

    def wait(self, condition, what):
        return wait_until(condition, what, PATIENCE_SECONDS)

    def assert_all_delivered(self, updates):
        self.set_upstream("up")
        self.wait(lambda: outbox()["pending"] == 0, "nothing pending")
        applied = self.applied()
        self.assertEqual(sorted(set(applied)), sorted(updates))

    def relay_journal(self, **fields):
        """What the service has said in this test, and systemd of it."""
        entries = journal(self.cursor, **fields)
        return [entry for entry in entries if SERVICE in (entry.get("_SYSTEMD_UNIT"), entry.get("UNIT"))]


class Load:
    """Clients that read and update without a pause, half of them over kept connections, until they are stopped.

    Each answer but a good one, and each connection that is refused or breaks, is a failure.
    """

    def __init__(self, contacts, clients=8):
        self.failures, self.answered, self.acknowledged = [], 0, []
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, args=(number, contacts[number::clients]), daemon=True)
            for number in range(clients)
        ]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._is_over.set()
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS)
        return False

    def _work(self, number, contacts):
        keeps = number % 2 == 0
        connection, turn = None, 0
        while not self._is_over.is_set():
            turn += 1
            contact, value = contacts[turn % len(contacts)], f"{number}.{turn}"
            try:
                if connection is None:
                    connection = http.client.HTTPConnection("127.0.0.1", 8080, timeout=PATIENCE_SECONDS)
                if turn % 3 == 0:
                    connection.request("GET", f"{LIST}/{contact}", headers={"X-Dexatel-Key": KEY})
                else:
                    headers = {"X-Dexatel-Key": KEY, "Content-Type": "application/json"}
                    body = json.dumps({"data": {"first_name": value}})
                    connection.request("PUT", f"{LIST}/{contact}", body, headers)
                reply = connection.getresponse()
                body = reply.read()
                with self._lock:
                    self.answered += 1
                    if reply.status not in (200, 202):
                        self.failures.append(f"{reply.status} {body[:200]!r}")
                    elif turn % 3:
                        self.acknowledged.append((contact, value))
                if keeps:
                    continue
            except (OSError, http.client.HTTPException) as error:
                with self._lock:
                    kind = "kept" if keeps else "new"
                    self.failures.append(f"{kind} connection, request {turn} of client {number}: {error!r}")
            if connection:
                connection.close()
                connection = None

    def wait_for(self, more):
        """Until that many more requests are answered, or one has failed."""
        before = self.answered
        wait_until(lambda: self.answered >= before + more or self.failures, f"{more} more answers", PATIENCE_SECONDS)


class Result(unittest.TextTestResult):
    """Says after a failure how the unit does."""

    def _tell(self, test):
        self.stream.writeln("\n".join(run("systemctl", "status", "--no-pager", "--full", "--lines=40", SERVICE, check=False).splitlines()))

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._tell(test)

    def addError(self, test, err):
        super().addError(test, err)
        self._tell(test)


def main(name, folder):
    """Runs the tests of a folder, or those that the command line names."""
    loader = unittest.TestLoader()
    sys.path.insert(0, str(folder))
    names = sys.argv[1:]
    suite = loader.loadTestsFromNames(names) if names else loader.discover(str(folder))
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2, resultclass=Result).run(suite)
    failed = len({test.id() for test, _ in result.failures + result.errors})
    print(f"{name}: {result.testsRun - failed - len(result.skipped)} passed, {failed} failed", flush=True)
    sys.exit(0 if result.wasSuccessful() and result.testsRun and not result.skipped else 1)
