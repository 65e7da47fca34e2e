"""Which Pulumi CLI is used, and what is said when there is none."""

import shutil
from pathlib import Path

import pytest

from tools import pulumi_cli
from tools.backend import FolderBackend


@pytest.fixture(autouse=True)
def bare_machine(tmp_path, monkeypatch):
    """No program on PATH, nothing in the cache."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def install(folder: Path, version: str, *, host: bool = True) -> Path:
    """A program that answers `version` as the CLI does."""
    folder.mkdir(parents=True, exist_ok=True)
    cli = folder / "pulumi"
    cli.write_text(f"#!/bin/sh\necho {version}\n")
    cli.chmod(0o755)
    if host:
        (folder / "pulumi-language-python").touch(mode=0o755)
    return cli


def test_a_recent_cli_on_path_is_used(tmp_path):
    cli = install(tmp_path / "bin", "v3.999.0")
    install(pulumi_cli.module_root() / "bin", "v3.232.0")

    assert pulumi_cli.find() == cli


def test_a_cli_of_the_oldest_version_is_recent_enough(tmp_path):
    oldest = ".".join(map(str, pulumi_cli.oldest()))
    cli = install(tmp_path / "bin", f"v{oldest}")

    assert pulumi_cli.find() == cli


@pytest.mark.parametrize(("version", "host"), [("v3.99.0", True), ("v3.999.0", False), ("?", True)])
def test_a_cli_on_path_that_cannot_serve_gives_way_to_ours(tmp_path, version, host):
    install(tmp_path / "bin", version, host=host)
    ours = install(pulumi_cli.module_root() / "bin", "v3.232.0")

    assert pulumi_cli.find() == ours


def test_an_earlier_download_is_used_before_an_earlier_build():
    install(pulumi_cli.module_root() / "bin", "v3.232.0")
    official = install(pulumi_cli.official_root() / "bin", "v3.272.0")

    assert pulumi_cli.find() == official


def test_a_refused_download_leads_to_the_build(tmp_path, monkeypatch):
    (tmp_path / "bin" / "curl").touch(mode=0o755)
    monkeypatch.setattr(pulumi_cli, "INSTALLER", "http://127.0.0.1:9/install.sh")
    go = tmp_path / "bin" / "go"
    go.write_text('#!/bin/sh\nwhile [ "$1" != -o ]; do shift; done\n: > "$2"\n')
    go.chmod(0o755)

    cli = pulumi_cli.find()

    assert cli == pulumi_cli.module_root() / "bin" / "pulumi"
    assert (cli.parent / "pulumi-language-python").exists()


def test_where_nothing_can_be_had_every_reason_and_the_cure_are_named():
    with pytest.raises(pulumi_cli.NoPulumi) as refusal:
        pulumi_cli.find()

    for part in ("no `pulumi` on PATH", "needs curl", "no `go` on PATH", "pulumi.com/docs/install"):
        assert part in str(refusal.value)


def test_a_failed_build_leaves_nothing_that_looks_like_a_cli(tmp_path):
    go = tmp_path / "bin" / "go"
    go.write_text("#!/bin/sh\necho no such module >&2\nexit 1\n")
    go.chmod(0o755)

    with pytest.raises(pulumi_cli.NoPulumi, match="no such module"):
        pulumi_cli.find()

    assert list((tmp_path / "cache").rglob("pulumi*")) == []


def test_another_pin_or_another_language_host_is_another_build(tmp_path, monkeypatch):
    module = tmp_path / "module"
    shutil.copytree(pulumi_cli.MODULE, module, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(pulumi_cli, "MODULE", module)
    roots = {pulumi_cli.module_root()}

    for file in ("go.mod", "bin/language_host.py"):
        with (module / file).open("a") as text:
            text.write("\n")
        roots.add(pulumi_cli.module_root())

    assert len(roots) == 3


def test_a_folder_backend_sees_nothing_of_the_users_own_pulumi(tmp_path, monkeypatch):
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "the user's")
    monkeypatch.setenv("PULUMI_BACKEND_URL", "gs://the-users")

    environment = pulumi_cli.environment(FolderBackend(tmp_path))

    assert "PULUMI_CONFIG_PASSPHRASE" not in environment
    assert environment["PULUMI_BACKEND_URL"] == f"file://{tmp_path}/state"


def test_without_a_backend_the_users_own_pulumi_settings_hold(monkeypatch):
    monkeypatch.setenv("PULUMI_BACKEND_URL", "gs://the-users")

    environment = pulumi_cli.environment()

    assert environment["PULUMI_BACKEND_URL"] == "gs://the-users"
    assert "PULUMI_HOME" not in environment


def test_the_passphrase_is_the_owners_alone_and_is_made_once(tmp_path):
    backend = FolderBackend(tmp_path / "backend")
    backend.create()
    passphrase = tmp_path / "backend" / "passphrase"
    first = passphrase.read_text()
    backend.create()

    assert passphrase.stat().st_mode & 0o077 == 0
    assert len(first) > 30
    assert passphrase.read_text() == first


def test_a_stack_is_not_created_twice(tmp_path):
    backend = FolderBackend(tmp_path)
    state = tmp_path / "state/.pulumi/stacks/mlflow-platform/local.json"
    state.parent.mkdir(parents=True)
    state.touch()

    backend.init(tmp_path / "no such program", "local", {})

    with pytest.raises(FileNotFoundError):
        backend.init(tmp_path / "no such program", "other", {})
