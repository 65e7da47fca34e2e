"""Programs that Python packages bring."""

from importlib.util import find_spec
from pathlib import Path

from .process import NotStarted

INSTALL = "To install what a local stack needs, type: pip install -r requirements/local.txt"


def folder(name: str) -> Path:
    """Where an installed package lies. It is not imported: some do things when they are."""
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise NotStarted(f"The Python package {name.replace('_', '-')} is missing.\n{INSTALL}")
    return Path(spec.origin).parent


def program(path: Path) -> str:
    """The path of a program that is there."""
    if not path.is_file():
        raise NotStarted(f"{path} is missing.\n{INSTALL}")
    return str(path)
