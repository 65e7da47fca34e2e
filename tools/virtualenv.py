"""The project's own Python environment, `.venv`, and what is installed in it.

Runs on any Python 3 of the machine, before anything is installed: standard library only.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

from tools import logged, progress
from tools.project import PYTHON, ROOT, VENV

SETS = {
    "local": ("requirements/local.txt",),
    "demo": ("requirements/local.txt", "training/requirements.txt"),
    "all": ("requirements.txt",),
    "dev": ("requirements/dev.txt", "training/requirements.txt"),
}
"""What can be asked for: a local stack, training on it, every platform, the tests."""

UV = "uv==0.13.9"
"""Installs in seconds what takes pip a minute."""

OLDEST = (3, 11)
STAMP = VENV / "installed.json"
"""Fingerprint of each requirements file as it was installed, so that a second run is quick."""


class NoPython(Exception):
    """This machine's Python cannot make the environment."""


def included(file: Path) -> list[Path]:
    """A requirements file and all that it names with `-r` or `-c`, each once."""
    found = [file]
    for line in file.read_text().splitlines():
        option, _, name = line.partition(" ")
        if option in ("-r", "-c"):
            found += [f for f in included((file.parent / name.strip()).resolve()) if f not in found]
    return found


def fingerprint(file: Path) -> str:
    """Changes when the file, one that it includes, or the interpreter changes."""
    digest = hashlib.sha256(sys.version.encode())
    for part in included(file):
        digest.update(part.read_bytes())
    return digest.hexdigest()


def outdated(files: list[Path], stamp: Path = STAMP) -> list[Path]:
    """The files that are not installed as they are now."""
    installed = json.loads(stamp.read_text()) if stamp.exists() else {}
    return [file for file in files if installed.get(str(file)) != fingerprint(file)]


def remember(files: list[Path], stamp: Path = STAMP) -> None:
    """Write down that the files, and with them all that they include, are installed."""
    installed = json.loads(stamp.read_text()) if stamp.exists() else {}
    installed |= {str(part): fingerprint(part) for file in files for part in included(file)}
    stamp.write_text(json.dumps(installed, indent=1))


def create() -> None:
    """Make `.venv` from the Python that runs this."""
    if sys.version_info < OLDEST:
        newer = next((n for n in ("3.13", "3.12", "3.11") if shutil.which(f"python{n}")), None)
        here = ".".join(map(str, sys.version_info[:3]))
        cure = f"type: make demo PYTHON=python{newer}" if newer else "install Python 3.12 first"
        raise NoPython(f"Python {here} is too old; this project needs 3.11 or newer. {cure}")
    if importlib.util.find_spec("ensurepip") is None:
        package = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
        raise NoPython(f"this Python cannot make environments. Type: sudo apt install {package}")
    subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], check=True)


def install(files: list[Path]) -> None:
    """Install requirements files with uv, or with pip where pip knows better where from.

    uv does not read pip's settings: a mirror named there must not be passed by.
    """
    pip = [str(PYTHON), "-m", "pip"]
    # Bytecode is written when a module is first imported; pip would compile all of them.
    pip_install = [*pip, "install", "--no-compile", "--no-input", "--disable-pip-version-check"]
    chosen = [word for file in files for word in ("-r", str(file))]
    # Into no log: the address of a mirror may hold a password.
    if "index" in subprocess.check_output([*pip, "config", "list"], text=True):
        logged.run("pip", [*pip_install, *chosen])
        return
    logged.run("pip", [*pip_install, UV])
    logged.run("uv", [str(PYTHON), "-m", "uv", "pip", "install", "--python", str(PYTHON), *chosen])


def ensure(name: str) -> None:
    """Have a set of requirements installed; without a change since the last time, do nothing."""
    if not PYTHON.exists():
        with progress.step("Python environment") as done:
            create()
            done(".venv")
    files = [ROOT / file for file in SETS[name]]
    if not outdated(files):
        return
    with progress.step("Python packages", expect="one to four minutes the first time") as done:
        install(files)
        remember(files)
        done("installed in .venv")


if __name__ == "__main__":
    try:
        ensure(sys.argv[1])
    except (NoPython, logged.CommandFailed) as problem:
        sys.exit(f"error: {problem}")
    except KeyboardInterrupt:
        sys.exit(130)
