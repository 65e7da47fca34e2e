"""When packages are installed, and what is said where they cannot be."""

import importlib.util
import sys

import pytest

from tools import virtualenv


@pytest.fixture
def requirements(tmp_path):
    """Two files, the second of which includes the first."""
    (tmp_path / "deep").mkdir()
    small, large = tmp_path / "small.txt", tmp_path / "deep" / "large.txt"
    small.write_text("one==1\n")
    large.write_text("-r ../small.txt\ntwo==2\n")
    return small, large


def test_what_was_installed_is_not_installed_again(requirements, tmp_path):
    stamp = tmp_path / "stamp"
    assert virtualenv.outdated([*requirements], stamp) == [*requirements]

    virtualenv.remember([*requirements], stamp)

    assert virtualenv.outdated([*requirements], stamp) == []


def test_installing_a_file_installs_what_it_includes(requirements, tmp_path):
    small, large = requirements
    virtualenv.remember([large], tmp_path / "stamp")

    assert virtualenv.outdated([small], tmp_path / "stamp") == []


def test_a_changed_file_is_installed_again_with_all_that_include_it(requirements, tmp_path):
    small, large = requirements
    virtualenv.remember([small, large], tmp_path / "stamp")

    small.write_text("one==1.1\n")

    assert virtualenv.outdated([small, large], tmp_path / "stamp") == [small, large]


def test_an_upgraded_interpreter_means_installing_again(requirements, tmp_path, monkeypatch):
    virtualenv.remember([*requirements], tmp_path / "stamp")

    monkeypatch.setattr(sys, "version", "3.99.0")

    assert virtualenv.outdated([*requirements], tmp_path / "stamp") == [*requirements]


def test_an_old_python_is_told_which_one_of_this_machine_to_name(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 9, 6))
    monkeypatch.setattr(virtualenv.shutil, "which", lambda name: name == "python3.12")

    with pytest.raises(virtualenv.NoPython, match=r"Python 3\.9\.6 .* PYTHON=python3\.12$"):
        virtualenv.create()


def test_a_python_without_ensurepip_is_told_which_package_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    with pytest.raises(virtualenv.NoPython, match=r"apt install python3\.\d+-venv"):
        virtualenv.create()


@pytest.mark.parametrize(
    ("settings", "installer"),
    [
        ("global.cert='/etc/ssl/ca.crt'\n", "uv"),
        ("global.index-url='https://mirror.example/simple'\n", "pip"),
        (":env:.no-index='1'\n", "pip"),
    ],
)
def test_packages_come_from_where_pip_is_told_to_get_them(settings, installer, monkeypatch):
    commands = {}
    monkeypatch.setattr(virtualenv.subprocess, "check_output", lambda *_, **__: settings)
    monkeypatch.setattr(virtualenv.logged, "run", commands.__setitem__)

    virtualenv.install([virtualenv.ROOT / "requirements.txt"])

    assert str(virtualenv.ROOT / "requirements.txt") in commands[installer]
    assert ("uv" in commands) == (installer == "uv")


@pytest.mark.parametrize("name", virtualenv.SETS)
def test_each_set_names_files_that_exist(name):
    for file in virtualenv.SETS[name]:
        assert (virtualenv.ROOT / file).exists()
