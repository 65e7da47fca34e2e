"""Programs that are built with Go: once, whoever asks, and with what is missing named."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools import logged
from tools.go_module import GoModule, NoGo, NotBuilt
from tools.project import ROOT

GO = f"""\
#!{sys.executable}
import os, sys, time
packages = [each for each in sys.argv[2:] if not each.startswith("-")]
with open(os.environ["BUILDS"], "a") as builds:
    print(*packages, file=builds)
time.sleep(0.5)
if "example.org/broken" in sys.argv:
    sys.exit("cannot find module")
for package in packages:
    open(os.path.join(os.environ["GOBIN"], package.rpartition("/")[2]), "w").close()
"""


@pytest.fixture
def builds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a Go that only notes it was told to build."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "go").write_text(GO)
    (programs / "go").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("BUILDS", str(tmp_path / "builds"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(logged, "LOGS", tmp_path / "logs")
    return tmp_path / "builds"


def module(tmp_path: Path, tools: str, **more: tuple[str, ...]) -> GoModule:
    (tmp_path / "go.mod").write_text(f"module x\n\ngo 1.25\n\n{tools}\n\nrequire (\n\ta/b v1\n)\n")
    return GoModule("thing", tmp_path, "A thing", "a moment", **more)


ASK = """
import sys
from pathlib import Path
from tools.go_module import GoModule
print(GoModule("thing", Path(sys.argv[1]), "A thing", "a moment").find(), file=sys.stderr)
"""


def test_two_who_ask_at_once_get_one_build(builds, tmp_path):
    module(tmp_path, "tool example.org/cmd/thing")
    ask = [sys.executable, "-c", ASK, str(tmp_path)]
    both = [
        subprocess.Popen(ask, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        for _ in range(2)
    ]
    one, other = (each.communicate(timeout=60)[1].split()[-1].decode() for each in both)

    assert one == other
    assert (Path(one) / "thing").exists()
    assert builds.read_text().splitlines() == ["example.org/cmd/thing"]


def test_what_cannot_be_built_with_the_others_is_built_alone(builds, tmp_path):
    tools = "tool (\n\texample.org/a\n\texample.org/b\n\texample.org/c\n)"
    found = module(tmp_path, tools, apart=("example.org/b",)).find()

    assert {path.name for path in found.iterdir()} == {"a", "b", "c"}
    assert builds.read_text().splitlines() == ["example.org/a example.org/c", "example.org/b"]


def test_a_build_that_failed_is_not_kept(builds, tmp_path):
    thing = module(tmp_path, "tool example.org/broken")

    with pytest.raises(NotBuilt, match="building A thing failed(.|\n)*cannot find module"):
        thing.find()
    assert not thing.root.exists()


def test_without_go_the_message_says_what_to_install(builds, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(NoGo, match=r"no `go` on PATH. Install it \(https://go.dev/dl\)"):
        module(tmp_path, "tool example.org/cmd/thing").find()


def test_a_program_of_our_own_that_changed_is_built_anew(tmp_path):
    thing = module(tmp_path, "tool x/own")
    program = tmp_path / "own" / "main.go"
    program.parent.mkdir()
    program.write_text("package main\n")
    before = thing.root

    program.write_text("package main\n\nfunc main() {}\n")

    assert thing.root != before
