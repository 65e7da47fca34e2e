"""Imports go one way, and a platform brings in only what it needs."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

ARROWS = {
    "__main__": {"config", "platforms"},
    "config": {"platforms", "settings"},
    "platforms": {"components", "server", "settings"},
    "components": {"server", "settings"},
    "server": {"settings"},
    "settings": set(),
    "training": set(),
    "client": set(),
}
"""What each part of the program may import of the rest of it; every part may import itself."""

AROUND = {"benchmarks", "tests", "tools"}
"""What drives the program from outside: it may import all of it, and nothing imports it."""


def parts() -> dict[str, list[Path]]:
    """The project's own Python, by its first folder or module."""
    found: dict[str, list[Path]] = {}
    for path in sorted(ROOT.glob("*.py")) + sorted(ROOT.glob("[!.]*/**/*.py")):
        found.setdefault(path.relative_to(ROOT).parts[0].removesuffix(".py"), []).append(path)
    return found


PARTS = parts()


def imports(path: Path) -> Iterator[str]:
    """First names of what a file imports; a relative import stays in its own part."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.split(".")[0]


def test_every_part_has_its_place_in_the_order():
    assert set(PARTS) - AROUND - set(ARROWS) == set()


@pytest.mark.parametrize("part", sorted(set(PARTS) - AROUND))
def test_a_part_imports_only_what_is_below_it(part):
    wrong = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in PARTS[part]
        for name in imports(path)
        if name in PARTS and name not in ARROWS[part] | {part}
    }
    assert wrong == set()


def test_what_runs_in_the_servers_image_needs_no_pulumi():
    assert [path for path in PARTS["server"] if "pulumi" in " ".join(imports(path))] == []


@pytest.mark.parametrize(
    ("platform", "others"),
    [
        ("local", {"pulumi_gcp", "pulumi_kubernetes", "pulumi_random"}),
        ("kubernetes", {"pulumi_gcp"}),
    ],
)
def test_a_platform_brings_in_no_sdk_that_it_does_not_need(platform, others):
    """Importing one takes seconds, and the engine then downloads hundreds of megabytes."""
    program = f"import config, platforms, sys; platforms.choose('{platform}'); print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = {name.split(".")[0] for name in run.stdout.split()}
    assert loaded & others == set()


def test_the_types_of_every_service_of_googles_that_we_use_are_checked():
    used = {
        service
        for part in ("components", "platforms")
        for path in PARTS[part]
        for service in re.findall(r"\bgcp\.([a-z]+)\.", path.read_text())
    }
    mypy = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]
    followed = {
        name.split(".")[1]
        for override in mypy["overrides"]
        if override.get("follow_imports") == "normal"
        for name in override["module"]
        if name.endswith(".*")
    }
    assert used == followed
