import fcntl
import socket

from support import *


class StartTests(RelayTestCase):
    """READY=1 comes when it is true; a start that fails says why (design §7)."""

    def test_it_is_ready_when_start_returns_with_the_upstream_out_of_reach(self):
        # Nobody listens there.
        configure('upstream:\n  url: "http://127.0.0.1:9"\n')
        systemctl("start", SERVICE)
        self.assertTrue(is_active())
        self.assertEqual(ready(), 200)
        self.assertEqual(put(CONTACT, {"first_name": "Ada"})[0], 202)

    def test_a_unit_that_is_ordered_after_it_finds_it_answering_at_once(self):
        configure('upstream:\n  url: "http://127.0.0.1:9"\n')
        unit = DROP_INS / "contact-relay-test-app.service"
        self.addCleanup(unit.unlink)
        request = f"import urllib.request; print(urllib.request.urlopen('{RELAY}/_relay/ready').status)"
        unit.write_text(
            f"[Unit]\nRequires={SERVICE}\nAfter={SERVICE}\n"
            f'[Service]\nType=oneshot\nExecStart=/usr/bin/python3 -c "{request}"\n'
        )
        systemctl("daemon-reload")
        for _ in range(5):
            systemctl("stop", SERVICE)
            # One request, without another try: a relay that says READY too early refuses it.
            systemctl("start", unit.name)
            self.assertTrue(is_active())

    def test_it_is_never_active_while_its_port_belongs_to_somebody_else(self):
        configure('upstream:\n  url: "http://127.0.0.1:9"\n')
        drop_in("[Service]\nRestart=no\n")
        # When it became active the last time: not again, then.
        entered = shown("ActiveEnterTimestampMonotonic")
        with socket.create_server(("127.0.0.1", 8080)):
            self.assertIn("failed", systemctl("start", SERVICE, check=False))
            self.assertEqual(shown("ActiveState"), "failed")
            self.assertEqual(shown("ActiveEnterTimestampMonotonic"), entered)
            self.assertIn("8080", texts(self.relay_journal()))
        systemctl("start", SERVICE)
        self.assertEqual(ready(), 200)

    def test_a_wrong_configuration_ends_with_78_and_says_what_is_wrong_and_is_not_tried_again(self):
        configure("listen:\n  port: eighty\n")
        self.assertIn("failed", systemctl("start", SERVICE, check=False))
        told = systemctl("status", "--no-pager", "--full", SERVICE, check=False)
        self.assertIn("status=78", told)
        self.assertIn("listen.port", told)
        self.assertIn(str(CONFIGURATION), told)
        self.assertEqual(shown("ExecMainStatus"), "78")
        self.assertEqual(shown("NRestarts"), "0")
        self.assertEqual((shown("ActiveState"), shown("SubState")), ("failed", "failed"))
        # Somebody who asks for the reason in one word gets it, too.
        self.assertEqual(shown("Result"), "exit-code")
        self.assertIn("listen.port", shown("StatusText"))

    def test_an_outbox_that_another_relay_holds_ends_with_75_and_is_not_tried_again(self):
        configure('upstream:\n  url: "http://127.0.0.1:9"\n')
        systemctl("start", SERVICE)
        systemctl("stop", SERVICE)
        with open(STATE / "lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            systemctl("start", SERVICE, check=False)
            self.assertEqual(shown("ExecMainStatus"), "75")
            self.assertEqual(shown("NRestarts"), "0")
            self.assertIn("/var/lib/", texts(self.relay_journal()))
        systemctl("start", SERVICE)
        self.assertEqual(ready(), 200)


class StatusTests(RelayTestCase):
    """The text that systemctl status shows."""

    def text(self):
        lines = systemctl("status", "--no-pager", "--full", SERVICE, check=False).splitlines()
        return next((line.partition("Status: ")[2].strip('"') for line in lines if "Status: " in line), "")

    def test_it_tells_of_the_upstream_and_the_queue_as_they_change(self):
        self.start()
        self.wait(lambda: "upstream up; nothing pending" in self.text(), "all is well in the status")
        self.go_down()
        updates = self.queue(12)
        self.wait(lambda: "upstream down" in self.text() and "12 pending, oldest" in self.text(), "the outage in the status")
        self.assertRegex(self.text(), r"upstream down \d+ (ms|s|min), next try in \d+ (ms|s|min); 12 pending, oldest \d+")
        self.assert_all_delivered(updates)
        self.wait(lambda: "upstream up; nothing pending" in self.text(), "the end of it in the status")
