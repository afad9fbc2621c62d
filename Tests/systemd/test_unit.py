import re

from support import *


class JournalTests(RelayTestCase):
    """Entries with fields of their own, priorities that are right, and no secrets (design §7, P7)."""

    def test_a_dead_write_is_a_warning_with_fields_that_name_it(self):
        self.start()
        self.set_faults({"status": {"status": 400, "code": 1361, "count": 1}})
        code, headers, _ = put(CONTACT, {"first_name": "Ada"}, prefer="respond-async")
        self.assertEqual(code, 202)
        self.wait(lambda: receipt(headers["Location"])["state"] == "dead", "a dead write")
        write = headers["Contact-Relay-Write"]
        entry = self.wait(lambda: next(iter(self.relay_journal(RELAY_WRITE_ID=write)), None), "an entry with its id")
        self.assertEqual(entry["PRIORITY"], "4")
        self.assertEqual(entry["RELAY_UPSTREAM_STATUS"], "400")
        self.assertIn(CONTACT, entry["RELAY_CONTACT"])
        self.assertEqual(entry["SYSLOG_IDENTIFIER"], "contact-relay")

    def test_the_journal_of_a_start_a_write_and_a_stop_has_no_errors_and_no_secrets(self):
        self.start()
        self.assertEqual(put(CONTACT, {"first_name": "Ada"})[0], 200)
        systemctl("stop", SOCKET, SERVICE)
        entries = self.relay_journal(_SYSTEMD_UNIT=SERVICE)
        self.assertIn("stopped", texts(entries))
        self.assertEqual([entry for entry in entries if int(entry["PRIORITY"]) < 5], [])
        # Nothing but its own log: libraries have nothing to complain of.
        self.assertEqual(texts(entry for entry in entries if "RELAY_EVENT" not in entry), "")
        self.assertNotIn(KEY, str(journal(self.cursor)))


class HardeningTests(RelayTestCase):
    """What systemd thinks of the units."""

    def test_the_exposure_is_at_most_one_and_a_half(self):
        self.start()
        for unit in (SERVICE, "contact-relay@test.service"):
            told = run("systemd-analyze", "security", "--no-pager", unit)
            level = re.search(r"Overall exposure level for \S+: ([\d.]+) OK", told)
            self.assertTrue(level, told)
            self.assertLessEqual(float(level.group(1)), 1.5, told)

    def test_verify_has_nothing_to_say(self):
        for unit in (SERVICE, SOCKET, "contact-relay@test.service", "contact-relay@test.socket"):
            self.assertEqual(run("systemd-analyze", "verify", "--man=no", unit), "", unit)

    def test_a_crash_leaves_no_core_file(self):
        self.start()
        self.assertEqual(shown("LimitCORE"), "0")
        limits = pathlib.Path(f"/proc/{main_pid()}/limits").read_text()
        self.assertRegex(limits, r"Max core file size +0 +0 ")
