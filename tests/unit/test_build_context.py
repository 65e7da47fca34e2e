"""What an image is built from, and the tag that stands for it."""

import os
import re
from pathlib import Path

import pytest

from components import build_context
from components.build_context import BuildContext

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder `app` with a few files, in a project of its own."""
    monkeypatch.setattr(build_context, "ROOT", tmp_path)
    app = tmp_path / "app"
    for name, text in {
        "Dockerfile": "FROM x\nCOPY . .\n",
        "main.py": "print()",
        "lib/__pycache__/a.pyc": "",
        "lib/a.py": "a = 1",
        "data/big.csv": "",
        "notes.md": "",
        ".dockerignore": "# ours\ndata\n**/__pycache__\n*.md\n!lib/*.py\n",
    }.items():
        (app / name).parent.mkdir(parents=True, exist_ok=True)
        (app / name).write_text(text)
    return app


def names(context):
    return [str(path) for path in context.files()]


def test_the_context_is_the_folder_less_what_dockerignore_names(project):
    assert names(BuildContext("app")) == ["Dockerfile", ".dockerignore", "lib/a.py", "main.py"]


def test_a_pattern_with_an_exclamation_mark_brings_files_back(project):
    (project / ".dockerignore").write_text("*\n!main.py\n")

    assert names(BuildContext("app")) == ["Dockerfile", "main.py"]


@pytest.mark.parametrize(
    ("pattern", "gone"),
    [
        ("lib", {"lib/a.py"}),
        ("/lib/", {"lib/a.py"}),
        ("*.py", {"main.py"}),
        ("**/*.py", {"main.py", "lib/a.py"}),
        ("?ain.py", {"main.py"}),
        ("ain.py", set()),
        ("lib/**", {"lib/a.py"}),
    ],
)
def test_patterns_mean_what_they_mean_to_docker(project, pattern, gone):
    (project / ".dockerignore").write_text(pattern)

    assert {"main.py", "lib/a.py"} - set(names(BuildContext("app"))) == gone


def test_the_tag_stays_while_the_content_does_whenever_it_was_written(project):
    before = BuildContext("app").tag
    os.utime(project / "main.py", (1, 1))
    (project / "main.py").chmod(0o600)
    (project / "data/big.csv").write_text("grown")

    assert BuildContext("app").tag == before
    assert re.fullmatch(r"[0-9a-f]{16}", before)


@pytest.mark.parametrize("name", ["Dockerfile", "main.py", "lib/new.py"])
def test_another_content_is_another_tag(project, name):
    before = BuildContext("app").tag
    (project / name).write_text("other")

    assert BuildContext("app").tag != before


def test_another_name_another_argument_and_another_mode_are_other_tags(project):
    tags = [BuildContext("app").tag, BuildContext("app", {"BASE": "y"}).tag]
    (project / "main.py").rename(project / "other.py")
    tags.append(BuildContext("app").tag)
    (project / "other.py").chmod(0o755)
    tags.append(BuildContext("app").tag)

    assert len(set(tags)) == 4


def test_a_copy_has_the_context_and_nothing_else(project, tmp_path):
    (project / "main.py").chmod(0o700)
    BuildContext("app").copy_to(tmp_path / "copy")

    copied = {
        p.relative_to(tmp_path / "copy") for p in (tmp_path / "copy").rglob("*") if p.is_file()
    }
    assert {str(p) for p in copied} == set(names(BuildContext("app")))
    assert (tmp_path / "copy/main.py").stat().st_mode & 0o777 == 0o755


def test_the_servers_context_is_what_its_dockerfile_copies():
    dockerfile = (ROOT / "server/Dockerfile").read_text()
    copied = {
        source
        for line in re.findall(r"^COPY (.+)$", dockerfile, re.M)
        for source in line.split()[:-1]
    }

    assert set(names(BuildContext("server"))) == {"Dockerfile", *copied}


@pytest.mark.parametrize("folder", ["server", "training"])
def test_no_image_depends_on_what_a_run_leaves_behind(folder):
    left = re.compile(r"__pycache__|\.pyc$|mlruns|\.db$|_cache|\.venv")

    assert [n for n in names(BuildContext(folder)) if left.search(n)] == []
