"""Bytecode of what is installed, kept for the next checkout: to compile it takes a core 20 seconds.

`python -m tests.bytecode take TEST...` puts it in place, `keep` keeps what the tests have left.
Python believes none that does not fit to its source.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from tools.project import ROOT, cache

SITE = Path(sysconfig.get_path("purelib"))


def kept() -> Path:
    """The folder for what is installed now, by this Python."""
    installed = sorted(file.name for file in SITE.glob("*.dist-info"))
    digest = hashlib.sha256("\n".join([sys.version, *installed]).encode())
    return cache() / f"bytecode-{digest.hexdigest()[:12]}"


def copy(files: list[Path], start: Path, end: Path) -> None:
    """Have files of a folder in another one too, as links where that can be."""
    for file in files:
        there = end / file.relative_to(start)
        there.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(file, there)
        except (FileExistsError, FileNotFoundError):
            continue  # it is there, or another checkout has just thrown it away
        except OSError:  # on another file system
            shutil.copy2(file, there)


def take(tests: list[str]) -> None:
    """Put what is kept in place; where nothing is, import all that the tests do."""
    if (place := kept()).exists():
        copy([*place.rglob("*.pyc")], place, SITE)
        return
    collect = [sys.executable, "-m", "pytest", "--collect-only", "-qq", *tests]
    # What is wrong with them, they say when they run.
    subprocess.run(collect, cwd=ROOT, stdout=subprocess.DEVNULL, check=False)


def keep() -> None:
    """Keep what there is now, and nothing older."""
    place = kept()
    for older in place.parent.glob("bytecode-*"):
        shutil.rmtree(older, ignore_errors=True)
    copy([*SITE.rglob("*.pyc")], SITE, place)


if __name__ == "__main__":
    verb, *tests = sys.argv[1:]
    take(tests) if verb == "take" else keep()
