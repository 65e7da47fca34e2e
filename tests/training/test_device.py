import sys

import pytest

import device

SMI = """#!/bin/sh
echo "Tesla T4, 535.288.01"
"""
CUML = """
import pathlib, sys
def install():
    pathlib.Path({trace!r}).write_text("late" if "sklearn" in sys.modules else "in time")
"""


@pytest.fixture
def card(tmp_path, monkeypatch):
    """A machine whose driver answers."""
    (tmp_path / "nvidia-smi").write_text(SMI)
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")


@pytest.fixture
def rapids(tmp_path, monkeypatch):
    """A stand-in for RAPIDS that writes down when it was switched on."""
    site = tmp_path / "site"
    package, info = site / "cuml/accel", site / "cuml_cu12-26.10.0.dist-info"
    package.mkdir(parents=True)
    info.mkdir()
    (site / "cuml/__init__.py").touch()
    (package / "__init__.py").write_text(CUML.format(trace=str(tmp_path / "trace")))
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: cuml-cu12\nVersion: 26.10.0\n")
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.syspath_prepend(str(site))
    yield tmp_path / "trace"
    for name in [name for name in sys.modules if name.partition(".")[0] == "cuml"]:
        del sys.modules[name]


@pytest.fixture
def no_card(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))


def test_without_a_gpu_the_processor_is_taken(no_card):
    tags = device.choose("auto").tags()
    assert tags["device"] == "cpu"
    assert "cores" in tags["device.name"]
    assert tags["version.scikit-learn"].count(".") == 2


def test_insisting_on_a_gpu_that_is_not_there_is_refused(no_card):
    with pytest.raises(device.DeviceError, match="no NVIDIA driver answers here"):
        device.choose("gpu")


def test_a_gpu_without_rapids_is_left_idle_and_that_is_said(card, capsys):
    assert device.choose("auto").kind == "cpu"
    assert "Tesla T4 stays idle: RAPIDS is missing" in capsys.readouterr().out
    with pytest.raises(device.DeviceError, match=r"pip install -r requirements-gpu\.txt"):
        device.choose("gpu")


def test_a_gpu_can_be_declined(card, rapids):
    assert device.choose("cpu").kind == "cpu"
    assert not rapids.exists()


def test_on_a_gpu_rapids_is_switched_on_before_scikit_learn_is_imported(
    card, rapids, few, start, runs
):
    process = start("train.py", "forest", "--fpath", few, "--rows", "600", "--n_estimators", "2")
    assert process.wait() == 0, process.stdout.read()
    assert rapids.read_text() == "in time"
    (run,) = runs()
    assert run.info.status == "FINISHED"
    assert run.data.tags["device"] == "gpu"
    assert run.data.tags["device.name"] == "Tesla T4"
    assert run.data.tags["device.driver"] == "535.288.01"
    assert run.data.tags["version.cuml-cu12"] == "26.10.0"
