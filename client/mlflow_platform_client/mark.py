"""How `connect` tells what it has written, and may write anew, from what is somebody else's."""

from pathlib import Path

from .problem import Problem

MARK = "mlflow-platform connect"
"""In each file; one without it is somebody else's."""


def check(written: Path, file: Path) -> None:
    """Refuse to write where somebody else did; a folder is known by a file in it."""
    if written.exists() and not (file.is_file() and MARK in file.read_text()):
        raise Problem(
            f"{written} is there, and not by this command. Move it away, or choose another "
            "place with --folder"
        )
