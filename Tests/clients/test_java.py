"""The HTTP client of the JDK, as it comes."""

import pathlib
import subprocess

from support import KEY, LIST, RelayTests

PROGRAM = pathlib.Path(__file__).resolve().parent / "JdkClient.java"


class JdkTests(RelayTests):
    def test_goes_on_after_an_offer_to_upgrade_that_nobody_takes(self):
        (contact,) = self.contacts(0, 1)
        command = ["java", "-XX:TieredStopAtLevel=1", "-Djava.net.useSystemProxies=false"]
        command += [str(PROGRAM), self.relay.url, KEY, LIST, contact]
        result = subprocess.run(command, capture_output=True, text=True, timeout=180)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertEqual(result.stdout.count("holds: "), 7, result.stdout)
