import os

from support import *

STAGE = pathlib.Path(os.environ["STAGE"])
THIS, NEXT = STAGE / "this.deb", STAGE / "next.deb"

# What is not a package's business: logs, dpkg's own books, what other programs keep while they run.
FOREIGN = ("/proc", "/sys", "/dev", "/run", "/tmp", "/root", "/var/log", "/var/lib/dpkg", "/var/lib/systemd/random-seed")
FOREIGN += ("/var/lib/systemd/timers", "/var/lib/systemd/catalog", "/var/cache", str(STAGE), str(pathlib.Path(__file__).parents[2]))


def field(package, name):
    return run("dpkg-deb", "--field", str(package), name).strip()


def dpkg(*arguments):
    return run("env", "DEBIAN_FRONTEND=noninteractive", "dpkg", *map(str, arguments))


def installed_version():
    return run("dpkg-query", "--show", "--showformat", "${Status} ${Version}", "contact-relay", check=False)


def all_files():
    """The paths of the whole machine, other than those of nobody's concern."""
    found = set()
    for folder, folders, names in os.walk("/"):
        folders[:] = [name for name in folders if not os.path.join(folder, name).startswith(FOREIGN)]
        found |= {os.path.join(folder, name) for name in folders + names if "__pycache__" not in folder}
    return {path for path in found if "__pycache__" not in path}


class PackageTests(RelayTestCase):
    """The Debian package, from its installation to its end."""

    seeded = 1000

    def reset(self):
        dpkg("--purge", "contact-relay")
        super().reset()
        # purge leaves nothing, but the folder that the tests keep their configuration in is theirs.
        shutil.rmtree(CONFIGURATION.parent, ignore_errors=True)

    def install(self, settings=""):
        """Installs the package in front of a simulated API."""
        dpkg("--install", THIS)
        self.simulator = self.start_simulator()
        configure(f'upstream:\n  url: "{self.simulator.api}"\n{settings}')
        systemctl("restart", SERVICE)

    def test_it_is_enabled_and_runs_after_the_installation_without_any_configuration(self):
        dpkg("--install", THIS)
        self.assertEqual(installed_version(), f"install ok installed {field(THIS, 'Version')}")
        for unit in (SOCKET, SERVICE):
            self.assertEqual(systemctl("is-enabled", unit).strip(), "enabled")
            self.assertEqual(systemctl("is-active", unit).strip(), "active")
        self.assertEqual(ready(), 200)
        # systemd holds the port, so that a restart refuses nobody.
        self.assertIn("bound_by=systemd", str(self.relay_journal()))
        self.assertEqual(run("contact-relay", "--version").strip(), field(THIS, "Version").rpartition("-")[0].replace("~", "-"))
        self.assertEqual(run("dpkg", "--verify", "contact-relay"), "")
        conffiles = run("dpkg-query", "--show", "--showformat", "${Conffiles}", "contact-relay")
        self.assertEqual(conffiles.split()[0::2], [str(CONFIGURATION)])
        run("contact-relay", "check", "--config", str(CONFIGURATION))

    def test_an_upgrade_keeps_a_queue_of_a_thousand_and_delivers_it(self):
        self.install()
        before = CONFIGURATION.read_text()
        # A key that has succeeded once may queue more than one that nobody knows.
        self.assertEqual(put(CONTACT, {"first_name": "Ada"})[0], 200)
        self.go_down(1000)
        updates = self.queue(1000)
        pid = main_pid()
        dpkg("--install", NEXT)
        self.assertEqual(installed_version(), f"install ok installed {field(NEXT, 'Version')}")
        self.assertNotEqual(main_pid(), pid)
        self.assertEqual((outbox()["pending"], outbox()["accepted"]), (1000, 1001))
        self.assertEqual(CONFIGURATION.read_text(), before)
        self.assert_all_delivered([(CONTACT, "Ada"), *updates])
        self.assertEqual(outbox()["delivered"], 1001)

    def test_an_upgrade_and_a_rollback_under_load_fail_no_request(self):
        self.install()
        with Load(self.contacts(64), clients=4) as load:
            for package in (NEXT, THIS):
                load.wait_for(100)
                dpkg("--install", package)
                self.assertEqual(installed_version(), f"install ok installed {field(package, 'Version')}")
            load.wait_for(100)
        self.assertEqual(load.failures, [])
        self.wait(lambda: outbox()["pending"] == 0, "nothing pending")
        self.assertLessEqual(set(load.acknowledged), set(self.applied()))

    def test_an_upgrade_leaves_off_what_the_operator_has_switched_off(self):
        dpkg("--install", THIS)
        systemctl("disable", "--now", SOCKET, SERVICE)
        dpkg("--install", NEXT)
        for unit in (SOCKET, SERVICE):
            self.assertEqual(systemctl("is-enabled", unit, check=False).strip(), "disabled")
            self.assertFalse(is_active(unit))

    def test_a_removal_keeps_queue_and_configuration_and_an_installation_goes_on_with_them(self):
        self.install()
        self.go_down(20)
        updates = self.queue(20)
        dpkg("--remove", "contact-relay")
        self.assertFalse(pathlib.Path("/usr/bin/contact-relay").exists())
        for unit in (SOCKET, SERVICE):
            self.assertFalse(is_active(unit))
        self.assertEqual(fetch(RELAY)[0], 0)
        self.assertTrue((STATE / "outbox.sqlite").exists())
        self.assertIn(self.simulator.api, CONFIGURATION.read_text())
        dpkg("--install", THIS)
        self.assertEqual(outbox()["pending"], 20)
        self.assert_all_delivered(updates)

    def test_a_purge_leaves_nothing_of_it_nor_of_its_instances(self):
        # The first start of a service with DynamicUser= makes this, and it is systemd's.
        STATE.parent.mkdir(mode=0o700, exist_ok=True)
        before = all_files()
        self.install()
        (CONFIGURATION.parent / "one.yaml").write_text(f'listen:\n  port: 8081\nupstream:\n  url: "{self.simulator.api}"\n')
        systemctl("enable", "--now", "contact-relay@one.socket", "contact-relay@one.service")
        self.assertEqual(put(CONTACT, {"first_name": "Ada"}, url="http://127.0.0.1:8081")[0], 200)
        pid = main_pid("contact-relay@one.service")
        dpkg("--install", NEXT)
        self.assertNotEqual(main_pid("contact-relay@one.service"), pid)
        self.assertTrue(is_active("contact-relay@one.service"))
        systemctl("disable", "contact-relay@one.socket", "contact-relay@one.service")
        dpkg("--purge", "contact-relay")
        self.assertFalse(is_active("contact-relay@one.service"))
        self.assertEqual(sorted(all_files() - before), [])
        self.assertEqual(list(pathlib.Path("/run").glob("contact-relay*")), [])
        self.assertEqual(run("pgrep", "--exact", "contact-relay", check=False), "")
