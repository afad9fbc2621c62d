from support import *


class ReloadTests(RelayTestCase):
    """SIGHUP: a good file holds at once and breaks nothing, a bad one changes nothing (design §7)."""

    def reload(self):
        systemctl("reload", SERVICE)
        # While it reloads, the state is another one.
        self.wait(lambda: is_active(), "the end of the reload")

    def test_a_good_file_holds_at_once_and_connections_stay(self):
        self.start()
        pid = main_pid()
        first, second = self.simulator, self.processes.start_simulator(self.folder_of("second"), "--seed-contacts", "1")
        connection = http.client.HTTPConnection("127.0.0.1", 8080, timeout=PATIENCE_SECONDS)
        self.addCleanup(connection.close)

        def put_big():
            body = json.dumps({"data": {"first_name": "Ada"}, "padding": "x" * 2000})
            headers = {"X-Dexatel-Key": KEY, "Content-Type": "application/json"}
            connection.request("PUT", f"{LIST}/{CONTACT}", body, headers)
            reply = connection.getresponse()
            reply.read()
            return reply.status

        self.assertEqual(put_big(), 200)
        local = connection.sock.getsockname()
        configure(f'upstream:\n  url: "{second.api}"\nwrites:\n  max_body: 1KiB\n')
        self.reload()
        self.assertEqual(put_big(), 413)
        self.assertEqual(put(CONTACT, {"first_name": "Grace"})[0], 200)
        self.assertEqual(connection.sock.getsockname(), local)
        self.assertEqual(main_pid(), pid)
        self.simulator = second
        self.assertEqual(self.applied(), [(CONTACT, "Grace")])
        self.simulator = first
        self.assertEqual(self.applied(), [(CONTACT, "Ada")])

    def folder_of(self, name):
        folder = self.folder / name
        folder.mkdir()
        return folder

    def test_a_bad_file_changes_nothing_and_is_told_in_the_journal_and_the_status(self):
        self.start()
        pid = main_pid()
        configure("upstream:\n  url: 17\nwrites:\n  max_body: 1KiB\n")
        self.reload()
        self.assertEqual(put(CONTACT, {"first_name": "Ada"})[0], 200)
        self.assertEqual(main_pid(), pid)
        told = lambda: systemctl("status", "--no-pager", "--full", "--lines=0", SERVICE)
        self.wait(lambda: "configuration" in told(), "the bad configuration in the status")
        journal = self.relay_journal()
        bad = [entry for entry in journal if "upstream.url" in str(entry)]
        self.assertTrue(bad, texts(journal))
        self.assertLessEqual(min(int(entry["PRIORITY"]) for entry in bad), 4)

        # A good file takes it back.
        configure(f'upstream:\n  url: "{self.simulator.api}"\n')
        self.reload()
        self.wait(lambda: "configuration" not in told(), "a status without the bad configuration")

    def test_what_cannot_change_while_it_runs_is_named(self):
        self.start()
        configure(f'upstream:\n  url: "{self.simulator.api}"\nstate:\n  directory: "/var/lib/contact-relay/elsewhere"\n')
        self.reload()
        self.assertEqual(ready(), 200)
        self.assertIn("state.directory", str(self.relay_journal()))

    def test_reloads_under_load_fail_no_request(self):
        self.start()
        with Load(self.contacts(64)) as load:
            for number in range(5):
                load.wait_for(100)
                configure(f'upstream:\n  url: "{self.simulator.api}"\n  max_connections: {8 + number}\n')
                self.reload()
            load.wait_for(100)
        self.assertEqual(load.failures, [])
