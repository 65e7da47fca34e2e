"""Bytecode that the tests of one checkout have left is there for the next one."""

import pytest

from tests import bytecode

ONE = "package/__pycache__/one.cpython-311.pyc"


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Where packages are installed, of a checkout whose tests have run."""
    place = tmp_path / "site"
    (place / "package-1.0.dist-info").mkdir(parents=True)
    (place / ONE).parent.mkdir(parents=True)
    (place / ONE).write_text("one")
    monkeypatch.setattr(bytecode, "SITE", place)
    monkeypatch.setattr(bytecode, "cache", lambda: tmp_path / "cache")
    return place


def test_what_one_checkout_keeps_the_next_takes(site):
    bytecode.keep()
    (site / ONE).unlink()
    bytecode.take([])

    assert (site / ONE).read_text() == "one"


def test_what_is_there_already_stays(site):
    bytecode.keep()
    (site / ONE).unlink()
    (site / ONE).write_text("newer")
    bytecode.take([])

    assert (site / ONE).read_text() == "newer"


def test_of_other_packages_nothing_is_kept(site, tmp_path):
    bytecode.keep()
    (site / "package-1.0.dist-info").rename(site / "package-2.0.dist-info")
    bytecode.keep()

    assert [*(tmp_path / "cache").iterdir()] == [bytecode.kept()]
