import os
import pwd
import stat

from support import *


class CredentialTests(RelayTestCase):
    """Secrets that systemd hands over (design §7, §8)."""

    def master_key(self, key):
        file = CONFIGURATION.parent / "master-key"
        file.write_bytes(key)
        file.chmod(0o600)
        drop_in(f"[Service]\nLoadCredential=master-key:{file}\n")

    def test_the_master_key_comes_as_a_credential_and_is_in_no_file_of_the_state(self):
        key = os.urandom(32)
        self.master_key(key)
        self.start()
        self.go_down()
        updates = self.queue(10)
        systemctl("restart", SERVICE)
        files = [file for file in STATE.rglob("*") if file.is_file()]
        self.assertNotIn("master.key", [file.name for file in files])
        self.assertTrue(files)
        for file in files:
            self.assertNotIn(key, file.read_bytes(), file)
            self.assertNotIn(KEY.encode(), file.read_bytes(), file)
        self.assert_all_delivered(updates)

    def test_a_wrong_master_key_ends_with_78_and_touches_nothing(self):
        right = os.urandom(32)
        self.master_key(right)
        self.start()
        self.go_down()
        updates = self.queue(10)
        systemctl("stop", SOCKET, SERVICE)
        before = (STATE / "outbox.sqlite").read_bytes()
        self.master_key(os.urandom(32))
        systemctl("start", SERVICE, check=False)
        self.assertEqual(shown("ExecMainStatus"), "78")
        self.assertIn("master", texts(self.relay_journal()))
        self.assertEqual((STATE / "outbox.sqlite").read_bytes(), before)
        self.master_key(right)
        systemctl("start", SOCKET, SERVICE)
        self.assert_all_delivered(updates)

    def test_the_relay_sends_the_api_key_of_a_credential_for_clients_that_show_the_token(self):
        token = "a-token-of-this-test-0123456789"
        for name, secret in (("dexatel-api-key", KEY), ("listen-token", token)):
            file = CONFIGURATION.parent / name
            file.write_text(secret + "\n")
            file.chmod(0o600)
        folder = CONFIGURATION.parent
        drop_in(
            f"[Service]\nLoadCredential=dexatel-api-key:{folder}/dexatel-api-key\n"
            f"LoadCredential=listen-token:{folder}/listen-token\n"
        )
        self.start()
        bearer = {"Authorization": f"Bearer {token}"}
        self.assertEqual(put(CONTACT, {"first_name": "Ada"}, key=None, headers=bearer)[0], 200)
        self.assertEqual(put(CONTACT, {"first_name": "Eve"}, key=None)[0], 401)
        self.assertEqual(put(CONTACT, {"first_name": "Eve"}, key=KEY)[0], 401)
        self.assertEqual(self.applied(), [(CONTACT, "Ada")])
        told = str(journal(self.cursor))
        self.assertNotIn(KEY, told)
        self.assertNotIn(token, told)


class StateTests(RelayTestCase):
    """DynamicUser=: a user that exists only while the service runs, and state that stays."""

    def test_the_user_exists_only_while_the_service_runs_and_the_state_stays(self):
        self.start()
        self.go_down()
        updates = self.queue(10)
        uid = os.stat(f"/proc/{main_pid()}").st_uid
        self.assertGreaterEqual(uid, 61184)
        self.assertLessEqual(uid, 65519)
        self.assertNotIn("contact-relay", pathlib.Path("/etc/passwd").read_text())
        link = pathlib.Path("/var/lib/contact-relay")
        self.assertEqual(link.resolve(), STATE)
        self.assertEqual(stat.S_IMODE(STATE.stat().st_mode), 0o700)
        for file in STATE.rglob("*"):
            self.assertEqual((file.stat().st_uid, stat.S_IMODE(file.stat().st_mode) & 0o077), (uid, 0), file)
        systemctl("stop", SOCKET, SERVICE)
        with self.assertRaises(KeyError):
            pwd.getpwuid(uid)
        systemctl("start", SOCKET, SERVICE)
        self.assertEqual(outbox()["pending"], 10)
        self.assert_all_delivered(updates)

    def test_the_operators_socket_is_for_root_and_the_service_alone(self):
        self.start()
        self.assertEqual(stat.S_IMODE(os.stat("/run/contact-relay/admin.sock").st_mode), 0o660)
        self.assertIn("nothing pending", run("contact-relay", "status"))

    def test_several_relays_on_one_host_keep_apart(self):
        self.simulator = self.start_simulator()
        configure("")
        for name, port in (("one", 8081), ("two", 8082)):
            file = CONFIGURATION.parent / f"{name}.yaml"
            file.write_text(f'listen:\n  port: {port}\nupstream:\n  url: "{self.simulator.api}"\n')
            systemctl("start", f"contact-relay@{name}.socket", f"contact-relay@{name}.service")
        curl = ("curl", "--silent", "--show-error", "--output", "/dev/null", "--write-out", "%{http_code}")
        update = ("-X", "PUT", "-H", f"X-Dexatel-Key: {KEY}", "-H", "Content-Type: application/json")
        url = f"http://localhost{LIST}/{CONTACT}"
        for value in ("Ada", "Grace"):
            body = json.dumps({"data": {"first_name": value}})
            code = run(*curl, *update, "-d", body, "--unix-socket", "/run/contact-relay-one.sock", url)
            self.assertEqual(code, "200")
        self.assertEqual(put(CONTACT, {"first_name": "Edsger"}, url="http://127.0.0.1:8082")[0], 200)
        accepted = {}
        for name in ("one", "two"):
            told = run("curl", "--silent", "--unix-socket", f"/run/contact-relay-{name}.sock", "http://localhost/_relay/status")
            accepted[name] = json.loads(told)["outbox"]["accepted"]
            self.assertTrue(pathlib.Path(f"/var/lib/private/contact-relay-{name}/outbox.sqlite").exists())
        self.assertEqual(accepted, {"one": 2, "two": 1})
