#!/usr/bin/env python3
"""What is installed beside the program: man pages, bash completion, the unit, and the Debian packages.

Usage: packaging_test.py PROGRAM BUILD-FOLDER. Packages are made from what is built there, and installed below a folder.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

PROGRAM = Path()
BUILD = Path()
ROOT = Path(__file__).resolve().parent.parent
PACKAGING = ROOT / "packaging"
UNIT = PACKAGING / "ringplane.service"


def run(*words, check=True, **named):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=280, stdin=subprocess.DEVNULL,
                          check=False, **named)
    if check and done.returncode != 0:
        raise AssertionError(f"{words} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done


def needs(*programs):
    missing = [program for program in programs if not shutil.which(program)]
    return unittest.skipIf(missing, f"not installed: {', '.join(missing)}")


class Folder(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="ringplane-packaging-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)


class ManPages(Folder):
    def pages(self):
        configuration = self.folder / "ringplane.toml.5"
        configuration.write_text(run("/usr/bin/python3", PACKAGING / "man" / "from_reference.py",
                                     ROOT / "docs" / "reference" / "config.md").stdout)
        return PACKAGING / "man" / "ringplane.8", configuration

    @needs("mandoc")
    def test_have_no_faults(self):
        for page in self.pages():
            with self.subTest(page=page.name):
                self.assertEqual(run("mandoc", "-T", "lint", "-W", "warning", page, check=False).stdout, "")

    @needs("man")
    def test_are_shown(self):
        for page, word in zip(self.pages(), ("SIGHUP", "spin_turns")):
            shown = run("man", "-l", page, env={**os.environ, "MANPAGER": "cat", "MANWIDTH": "80", "LC_ALL": "C.UTF-8"})
            self.assertEqual(shown.stderr, "")
            self.assertIn(word, re.sub(".\b", "", shown.stdout))

    def test_name_every_command(self):
        text = (PACKAGING / "man" / "ringplane.8").read_text()
        for command in commands():
            self.assertIn(f"\n.It Cm {command}\n", text)

    def test_name_every_key(self):
        keys = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "reference" / "config.md").read_text(), re.M)
        text = self.pages()[1].read_text()
        self.assertGreater(len(keys), 20)
        for key in keys:
            self.assertIn(f"\n.It Sy {key}\n", text)


def commands():
    said = run(PROGRAM, "--help").stdout
    return re.findall(r"^  ([a-z-]+) ", said.split("Subcommands:")[1], re.M)


class Completion(Folder):
    def completed(self, line):
        """What Tab offers behind `line`, whose last word may be empty."""
        words = line.split(" ")
        script = (f'source {PACKAGING / "ringplane.bash-completion"}\nCOMP_WORDS=("$@")\nCOMP_CWORD=$(($# - 1))\n_ringplane\n'
                  'printf "%s\\n" "${COMPREPLY[@]}"\n')
        path = f"{PROGRAM.parent}:{os.environ['PATH']}"
        done = run("bash", "-c", script, "bash", *words, env={**os.environ, "PATH": path}, cwd=self.folder)
        self.assertEqual(done.stderr, "")
        return done.stdout.split()

    def test_offers_the_commands(self):
        self.assertEqual(sorted(self.completed("ringplane ")), sorted(commands()))
        self.assertEqual(sorted(self.completed("ringplane re")), ["reopen-log", "replay"])
        self.assertIn("firewall", self.completed("ringplane bench "))

    def test_offers_what_show_knows(self):
        self.assertEqual(self.completed("ringplane show r"), ["rules"])
        known = re.search(r"what TEXT:\{([a-z,]+)\}", run(PROGRAM, "show", "--help").stdout)[1].split(",")
        self.assertEqual(sorted(self.completed("ringplane show ")), sorted(known))
        for each in known:
            self.assertIn(f" {each}", (PACKAGING / "man" / "ringplane.8").read_text())

    def test_offers_interfaces_to_the_doctor(self):
        self.assertEqual(sorted(self.completed("ringplane doctor ")), sorted(os.listdir("/sys/class/net")))

    def test_offers_the_options_of_a_command(self):
        for command in commands():
            options = set(re.findall(r"--[a-z0-9-]+", run(PROGRAM, command, "--help").stdout.split("Exit codes:")[0]))
            self.assertEqual(set(self.completed(f"ringplane {command} --")) - options, set())
            self.assertIn("--help", self.completed(f"ringplane {command} --h"))
        self.assertEqual(self.completed("ringplane show --soc"), ["--socket"])
        self.assertIn("--limit", self.completed("ringplane show flows --"))

    def test_offers_files_where_one_is_wanted(self):
        (self.folder / "my rules.conf").write_text("pass\n")
        self.assertEqual(self.completed("ringplane check -f my"), ["my", "rules.conf"])


class Unit(Folder):
    @needs("systemd-analyze")
    def test_is_understood_by_systemd(self):
        text = UNIT.read_text().replace("/usr/bin/ringplane", str(PROGRAM)).replace("man:ringplane(8) man:ringplane.toml(5)", "")
        unit = self.folder / "ringplane.service"
        unit.write_text(text.replace("Documentation=", "#"))
        done = run("systemd-analyze", "verify", "--man=no", unit, check=False)
        told = [line for line in done.stderr.splitlines() if "ringplane" in line]
        self.assertEqual(told, [])

    @needs("systemd-analyze")
    def test_exposes_as_little_as_the_guide_says(self):
        said = run("systemd-analyze", "security", "--offline=yes", "--no-pager", UNIT, check=False).stdout
        level = re.search(r"Overall exposure level for ringplane.service: ([\d.]+)", said)[1]
        guide = (ROOT / "docs" / "guide" / "service.md").read_text()
        self.assertIn(f"exposure level is {level}", guide)


@unittest.skipIf(os.geteuid() != 0, "dpkg gives files to root")
@needs("cpack", "dpkg-deb", "dpkg-shlibdeps")
class Debian(Folder):
    def setUp(self):
        super().setUp()
        run("cpack", "-G", "DEB", "-B", self.folder / "made", cwd=BUILD)
        self.packages = {re.match(r"[a-z-]+(?=_)", path.name)[0]: path for path in (self.folder / "made").glob("*.deb")}
        self.root = self.folder / "root"
        for part in ("var/lib/dpkg/info", "var/lib/dpkg/updates"):
            (self.root / part).mkdir(parents=True)
        (self.root / "var/lib/dpkg/status").touch()

    def dpkg(self, *words):
        """Below the folder, with scripts that run outside of it and are told so (DPKG_ROOT)."""
        env = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin", "DEBIAN_FRONTEND": "noninteractive"}
        return run("dpkg", f"--root={self.root}", "--force-script-chrootless", "--force-not-root", "--force-depends",
                   "--no-triggers", f"--log={self.folder / 'dpkg.log'}", *words, env=env)

    def files(self):
        return sorted(str(path.relative_to(self.root)) for path in self.root.rglob("*")
                      if not path.is_dir() and not str(path.relative_to(self.root)).startswith("var/lib/dpkg/"))

    def test_are_installed_run_and_removed(self):
        package = self.packages["ringplane"]
        depends = run("dpkg-deb", "-f", package, "Depends").stdout
        for library in ("libbpf", "libncursesw6"):
            self.assertIn(library, depends)
        self.assertNotIn("librte", depends, "DPDK comes with ringplane-dpdk alone")
        here = run("dpkg-query", "-W", "-f", "${db:Status-Abbrev} ${Package}, ${Provides}\n").stdout
        names = {name for line in here.splitlines() if line.startswith("ii") for name in re.findall(r"[a-z0-9][a-z0-9.+-]+", line[3:])}
        self.assertEqual(set(re.findall(r"(?:^|, )([a-z0-9.+-]+)", depends.strip())) - names, set(), "not what it was built with")
        self.dpkg("-i", package)
        files = self.files()
        for wanted in ("usr/bin/ringplane", "usr/lib/systemd/system/ringplane.service", "etc/ringplane/ringplane.toml",
                       "etc/ringplane/pf.conf", "usr/share/man/man8/ringplane.8.gz", "usr/share/man/man5/ringplane.toml.5.gz",
                       "usr/share/bash-completion/completions/ringplane", "usr/share/doc/ringplane/copyright"):
            self.assertIn(wanted, files)
        self.assertEqual([name for name in files if "dpdk" in name], [])
        program = self.root / "usr/bin/ringplane"
        self.assertRegex(run(program, "--version").stdout, r"^ringplane \d")
        run(program, "check", "-c", self.root / "etc/ringplane/ringplane.toml")
        self.assertEqual(oct((self.root / "etc/ringplane/pf.conf").stat().st_mode & 0o777), "0o644", "read by a dynamic user")
        rules = self.root / "etc/ringplane/pf.conf"
        rules.write_text("pass\n")
        self.dpkg("-i", package)
        self.assertEqual(rules.read_text(), "pass\n", "an upgrade leaves rules alone")
        self.dpkg("-r", "ringplane")
        self.assertEqual(self.files(), ["etc/ringplane/pf.conf", "etc/ringplane/ringplane.toml"], "removed")
        self.dpkg("-P", "ringplane")
        self.assertEqual(self.files(), [], "purged")

    def test_of_dpdk_goes_with_the_program(self):
        if "ringplane-dpdk" not in self.packages:
            self.skipTest("a build without DPDK")
        self.dpkg("-i", self.packages["ringplane"], self.packages["ringplane-dpdk"])
        self.assertIn("librte-ethdev", run("dpkg-deb", "-f", self.packages["ringplane-dpdk"], "Depends").stdout)
        config = self.folder / "ringplane.toml"
        (self.folder / "pf.conf").write_text("pass\n")
        config.write_text('rules = "pf.conf"\n[[port]]\nname = "a"\ninterface = "dpdk:net_nonsense0"\n[[port]]\nname = "b"\n'
                          'interface = "dpdk:net_null0"\n[[bridge]]\nports = ["a", "b"]\n'
                          f'[control]\nsocket = "{self.folder}/control.sock"\nstate = "{self.folder}/state"\n')
        said = run(self.root / "usr/bin/ringplane", "run", "-c", config, check=False)
        self.assertIn("dpdk:net_nonsense0 cannot be opened", said.stderr, "the library was found and loaded")
        self.assertEqual(said.returncode, 78)
        self.dpkg("-P", "ringplane-dpdk", "ringplane")
        self.assertEqual(self.files(), [])


if __name__ == "__main__":
    PROGRAM, BUILD = (Path(word).resolve() for word in sys.argv[1:3])
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
