# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Kernels and libraries of several Debian releases, fetched by apt and unpacked below build/; nothing is installed.

apt gets a configuration of its own, with the mirror that this machine's sources name. Of Ubuntu's archive, whose keys Debian
does not have, single files are taken by their checksums.
"""
import contextlib
import glob
import hashlib
import os
import re
import shutil
import subprocess
import urllib.request

STAMP = ".unpacked"
UBUNTU = "http://archive.ubuntu.com/ubuntu/pool/main/l/linux"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


class Missing(Exception):
    """What cannot be had here, in one line."""


def mirror():
    """Of Debian's main archive, as this machine's apt has it."""
    uris = ""
    if shutil.which("apt-get"):
        uris = subprocess.run(["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages",
                               "Label: Debian", "Component: main"], capture_output=True, text=True, timeout=60).stdout
    if not uris or not os.path.exists(KEYRING):
        raise Missing("this machine's apt has no Debian archive to take kernels from")
    return uris.split()[0]


class Archive:
    """Debian's packages by release. What was unpacked stays from run to run and is not asked for again."""

    def __init__(self, place):
        self.place = place
        self.suites = []  # whose lists are here

    def apt(self, command, *arguments, cwd=None):
        private = {"Dir::Etc::sourcelist": f"{self.place}/sources.list", "Dir::Etc::sourceparts": "-",
                   "Dir::State::lists": f"{self.place}/lists", "Dir::Cache": f"{self.place}/cache", "APT::Sandbox::User": "root"}
        options = [word for key, value in private.items() for word in ("-o", f"{key}={value}")]
        done = subprocess.run([command, *options, *arguments], cwd=cwd or self.place, capture_output=True, text=True, timeout=400)
        if done.returncode:
            raise Missing(f"{command} {' '.join(arguments)}: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")
        return done.stdout

    def update(self, suite):
        """One by one: a release that the mirror no longer has leaves the others."""
        if suite in self.suites:
            return
        uri = mirror()
        for name in ("lists/partial", "cache/archives/partial"):
            os.makedirs(os.path.join(self.place, name), exist_ok=True)
        with open(f"{self.place}/sources.list", "w") as f:
            f.writelines(f"deb [signed-by={KEYRING}] {uri} {name} main\n" for name in (*self.suites, suite))
        self.apt("apt-get", "update", "-q")
        self.suites.append(suite)

    def follow(self, package, suite, pattern, found):
        """Adds to found what package depends on, as far as names match pattern."""
        text = self.apt("apt-cache", "show", f"{package}/{suite}")
        depends = " ".join(re.findall(r"^(?:Pre-)?Depends: (.*)$", text, re.M))
        for name in re.findall(r"[a-z0-9][a-z0-9.+-]+", depends):
            if re.fullmatch(pattern, name) and name not in found:
                found.append(name)
                self.follow(name, suite, pattern, found)

    def unpack(self, name, suite, packages, pattern=None):
        """The folder with packages of suite in it, and what they depend on that matches pattern."""
        folder = os.path.join(self.place, name)
        recipe = hashlib.sha256(repr((suite, packages, pattern)).encode()).hexdigest()
        if self.is_there(folder, recipe):
            return folder
        self.update(suite)
        found = list(packages)
        for package in packages if pattern else ():
            self.follow(package, suite, pattern, found)
        with self.fresh(folder, recipe) as debs:
            self.apt("apt-get", "download", "-q", *(f"{package}/{suite}" for package in found), cwd=debs)
        return folder

    def unpack_files(self, name, files):
        """The folder with these packages of Ubuntu's archive in it: (file, SHA-256) each."""
        folder = os.path.join(self.place, name)
        recipe = hashlib.sha256(repr(files).encode()).hexdigest()
        if self.is_there(folder, recipe):
            return folder
        with self.fresh(folder, recipe) as debs:
            for file, checksum in files:
                try:
                    with urllib.request.urlopen(f"{UBUNTU}/{file}", timeout=60) as answer:
                        data = answer.read()
                except OSError as why:
                    raise Missing(f"{UBUNTU}/{file}: {why}")
                if hashlib.sha256(data).hexdigest() != checksum:
                    raise Missing(f"{UBUNTU}/{file} is not the file it should be")
                with open(f"{debs}/{file}", "wb") as f:
                    f.write(data)
        return folder

    @staticmethod
    def is_there(folder, recipe):
        stamp = os.path.join(folder, STAMP)
        return os.path.exists(stamp) and open(stamp).read() == recipe

    @staticmethod
    @contextlib.contextmanager
    def fresh(folder, recipe):
        """folder anew, with what packages the caller puts where it is told unpacked in it."""
        debs = f"{folder}/debs"
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(debs)
        yield debs
        for deb in glob.glob(f"{debs}/*.deb"):
            subprocess.run(["dpkg", "-x", deb, folder], check=True)
        shutil.rmtree(debs)
        with open(os.path.join(folder, STAMP), "w") as f:
            f.write(recipe)
