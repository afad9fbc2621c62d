import os
import signal

from support import *


class RestartTests(RelayTestCase):
    """Sockets that systemd holds, and ends of all kinds: no request fails, and nothing is lost (P2, design §7)."""

    def test_a_connection_starts_the_service(self):
        self.simulator = self.start_simulator()
        configure(f'upstream:\n  url: "{self.simulator.api}"\n')
        systemctl("start", SOCKET)
        self.assertFalse(is_active())
        self.assertEqual(put(CONTACT, {"first_name": "Ada"})[0], 200)
        self.assertTrue(is_active())

    def test_restarts_under_load_fail_no_request(self):
        self.start()
        pids = {main_pid()}
        with Load(self.contacts(64)) as load:
            for _ in range(3):
                load.wait_for(200)
                systemctl("restart", SERVICE)
                pids.add(main_pid())
            load.wait_for(200)
        self.assertEqual(load.failures, [])
        self.assertEqual(len(pids), 4)
        self.wait(lambda: outbox()["pending"] == 0, "nothing pending")
        self.assertLessEqual(set(load.acknowledged), set(self.applied()))

    def test_a_unix_socket_of_the_socket_unit_works_as_well(self):
        drop_in("[Socket]\nListenStream=/run/contact-relay-http.sock\nSocketMode=0666\n", SOCKET)
        self.start()
        reply = run("curl", "--silent", "--show-error", "--unix-socket", "/run/contact-relay-http.sock", "http://localhost/_relay/ready")
        self.assertEqual(json.loads(reply)["status"], "ok")
        systemctl("restart", SERVICE)
        reply = run("curl", "--silent", "--show-error", "--unix-socket", "/run/contact-relay-http.sock", "http://localhost/_relay/ready")
        self.assertEqual(json.loads(reply)["status"], "ok")

    def test_what_is_queued_outlives_a_kill(self):
        self.start()
        self.go_down()
        updates = self.queue(50)
        before = main_pid()
        os.kill(before, signal.SIGKILL)
        self.wait(lambda: is_active() and main_pid() not in (0, before), "a restart")
        self.assertEqual(shown("NRestarts"), "1")
        self.assertEqual(outbox()["pending"], 50)
        self.assert_all_delivered(updates)

    def test_a_stop_ends_in_order_and_the_queue_waits_for_the_next_start(self):
        self.start()
        self.go_down()
        updates = self.queue(20)
        systemctl("stop", SOCKET, SERVICE)
        self.assertEqual((shown("Result"), shown("ExecMainStatus")), ("success", "0"))
        systemctl("start", SOCKET, SERVICE)
        self.assertEqual(outbox()["pending"], 20)
        self.assert_all_delivered(updates)
