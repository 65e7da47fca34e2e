import sys
from pathlib import Path

import mlflow
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


@pytest.fixture
def launched(card, rapids, few, runs):
    """The run that `mlflow run` leaves on a machine with a card."""
    ended = mlflow.projects.run(
        str(Path(device.__file__).parent),
        env_manager="local",
        experiment_name="flights",
        parameters={"C": ".5", "penalty": "l2", "fpath": str(few)},
    )
    assert ended.get_status() == "FINISHED"
    (run,) = runs()
    return run


def test_mlflow_runs_the_project_unedited_and_rapids_is_on_before_scikit_learn_is_imported(
    launched, rapids
):
    assert launched.info.status == "FINISHED"
    assert launched.data.params["C"] == ".5"
    assert launched.data.metrics["accuracy"] > 0.5

    assert rapids.read_text() == "in time"
    assert launched.data.tags["device"] == "gpu"
    assert launched.data.tags["device.name"] == "Tesla T4"
    assert launched.data.tags["device.driver"] == "535.288.01"
    assert launched.data.tags["version.cuml-cu12"] == "26.10.0"
