"""A base image with Python, made from Debian packages where none can be pulled.

It carries this machine's own way to Python packages, so that a Dockerfile need not know of it.
"""

import configparser
import fcntl
import hashlib
import json
import shutil
import ssl
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from tools import logged, progress, project
from tools.pulumi_cli import appearing

SUITE = "bookworm"
PACKAGES = ("ca-certificates", "python-is-python3", "python3", "python3-pip", "python3-venv")
BUNDLE = Path("etc/ssl/certs/ca-certificates.crt")
NOT_NEEDED = ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man")
"""Of no use in an image, and a third of it."""


def archive() -> Path:
    """The root of its file system as an archive, made now if it never was."""
    project.cache().mkdir(parents=True, exist_ok=True)
    with (project.cache() / "base.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root().exists():
            _make()
    return root() / "base.tar"


def root() -> Path:
    """Where it is kept; another recipe, or another way to packages, is another folder."""
    recipe = [SUITE, PACKAGES, NOT_NEEDED, pip_settings(), hashlib.sha256(_bundle()).hexdigest()]
    return project.cache() / f"base-{hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:12]}"


@cache
def pip_settings() -> dict[str, str]:
    """What pip was told on this machine and makes sense on another; newest word last."""
    told = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    settings = {}
    for line in told.splitlines():
        name, _, value = line.partition("=")
        section, _, key = name.rpartition(".")
        if section in ("global", ":env:") and not value.strip("'").startswith(("/", "file:")):
            settings[key] = value.strip("'")
    return settings


def _make() -> None:
    with (
        progress.step("Base image", expect="Debian with Python, about two minutes, once") as done,
        appearing(root()) as fresh,
        tempfile.TemporaryDirectory(dir=fresh) as temporary,
    ):
        system = Path(temporary)
        # What it mounts while it works is gone with it, also if it is killed.
        apart = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        command = ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}"]
        logged.run("base-image", [*apart, *command, SUITE, str(system)])
        _adapt(system)
        tar = ["tar", "--create", "--numeric-owner", f"--directory={system}"]
        logged.run("base-image-tar", [*tar, f"--file={fresh / 'base.tar'}", "."])
        done(f"kept in {root()}")


def _adapt(system: Path) -> None:
    """Leave out what an image does not need, and put in the way to packages."""
    for name in NOT_NEEDED:
        shutil.rmtree(system / name)
        (system / name).mkdir()
    (system / BUNDLE).write_bytes(_bundle())
    config = configparser.ConfigParser(interpolation=None)
    # As in Python's own images, `pip install` is not Debian's business.
    config["global"] = pip_settings() | {"cert": f"/{BUNDLE}", "break-system-packages": "true"}
    with (system / "etc" / "pip.conf").open("w") as file:
        config.write(file)


def _bundle() -> bytes:
    """The certificates that this machine trusts."""
    paths = ssl.get_default_verify_paths()
    return Path(paths.cafile or paths.openssl_cafile).read_bytes()
