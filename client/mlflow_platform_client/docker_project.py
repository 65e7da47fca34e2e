"""A project as MLflow's own Kubernetes backend wants it, beside the one that a laptop runs.

That backend knows an image from the `docker_env` of `MLproject` alone, and beside `docker_env`
MLflow allows no `python_env`. So the same project gets a second folder: an `MLproject` of its own,
and links to all the rest, through which an edit in the first is an edit in both.
"""

import tempfile
from pathlib import Path
from typing import Any

import yaml

from . import job, mark, project
from .problem import Problem

FILE = "MLproject"
ENVIRONMENTS = ("python_env", "conda_env", "docker_env")
LONGEST = 36
"""Kubernetes allows 63 characters, and MLflow adds the time to the microsecond."""


def write(source: Path, folder: Path, image: str) -> None:
    """Make the folder, or one in its place; what fails on the way leaves it as it was."""
    _check(source, folder)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as place:
        new = Path(place) / "new"
        new.mkdir()
        content = yaml.safe_dump(_with_image(source, image), sort_keys=False, allow_unicode=True)
        (new / FILE).write_text(f"# Written by `{mark.MARK}`, from {source / FILE}\n{content}")
        for name in project.entries(source):
            if name != FILE:
                (new / name).symlink_to((source / name).resolve())
        if folder.exists():
            folder.rename(Path(place) / "old")
        new.rename(folder)


def _check(source: Path, folder: Path) -> None:
    if folder.resolve().is_relative_to(source.resolve()):
        raise Problem(
            f"{folder} would be a part of the project {source} itself. Choose a place beside the "
            "project with --folder"
        )
    described = folder / FILE
    mark.check(folder, described)
    for entry in folder.iterdir() if folder.exists() else ():
        if entry != described and not entry.is_symlink():
            raise Problem(
                f"{entry} is not by this command, which makes {folder} anew each time. Move it "
                "to the project itself"
            )


def _with_image(source: Path, image: str) -> dict[str, Any]:
    described = yaml.safe_load((source / FILE).read_text())
    rest = {key: value for key, value in described.items() if key not in ENVIRONMENTS}
    name = job.label(described.get("name") or source.resolve().name, LONGEST)
    return {**rest, "name": name, "docker_env": {"image": image}}
