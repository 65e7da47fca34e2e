"""The client as pip installs it: MLflow finds a backend by what a distribution says of itself."""

import tomllib
from pathlib import Path

from tools.project import ROOT

CLIENT = ROOT / "client"


def client(folder: Path) -> Path:
    """Write what `pip install ./client` writes beside the code; for `sys.path`."""
    project = tomllib.loads((CLIENT / "pyproject.toml").read_text())["project"]
    place = folder / "site"
    described = place / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    described.mkdir(parents=True)
    lines = [f"{key}: {project[key.lower()]}" for key in ("Name", "Version")]
    (described / "METADATA").write_text("\n".join(["Metadata-Version: 2.1", *lines, ""]))
    groups = {"console_scripts": project["scripts"], **project["entry-points"]}
    (described / "entry_points.txt").write_text(
        "\n".join(
            line
            for group, points in groups.items()
            for line in (f"[{group}]", *(f"{name} = {what}" for name, what in points.items()))
        )
    )
    return place
