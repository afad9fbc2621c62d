from support import *

LOCAL = pathlib.Path("/usr/local")


class InstallTests(RelayTestCase):
    """The archive: installed, run, taken away."""

    def files(self):
        return {path for folder in (LOCAL, CONFIGURATION.parent) for path in folder.rglob("*") if not path.is_dir()}

    def test_what_the_archive_installs_runs_and_is_taken_away_without_its_configuration_and_state(self):
        archive = next(pathlib.Path("/usr/share/contact-relay-test").glob("*.tar.gz"))
        run("tar", "--extract", "--file", str(archive), "--directory", str(self.folder))
        install = str(next(self.folder.glob("contact-relay-*/install")))
        before = self.files()

        run(install)
        self.addCleanup(run, install, "--uninstall", check=False)
        self.addCleanup(systemctl, "disable", "--now", SOCKET, SERVICE, check=False)
        systemctl("enable", "--now", SOCKET, SERVICE)
        self.assertEqual(ready(), 200)
        self.assertEqual(os.readlink(f"/proc/{main_pid()}/exe"), "/usr/local/bin/contact-relay")
        self.assertIn("nothing pending", run("/usr/local/bin/contact-relay", "status"))

        # The newer one leaves alone what the operator has written.
        configure("# mine\n")
        run(install)
        self.assertEqual(CONFIGURATION.read_text(), "# mine\n")

        self.assertIn("is running", run(install, "--uninstall", check=False))
        self.assertTrue((LOCAL / "bin/contact-relay").exists())
        systemctl("disable", "--now", SOCKET, SERVICE)
        run(install, "--uninstall")
        self.assertEqual(self.files() - before, {CONFIGURATION})
        self.assertTrue((STATE / "outbox.sqlite").exists())
