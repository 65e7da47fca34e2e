"""The second folder of a project, for MLflow's own Kubernetes backend."""

import os

import pytest
import yaml

from mlflow_platform_client import docker_project
from mlflow_platform_client.problem import Problem

PROJECT = """\
name: Flights, delayed
python_env: python_env.yaml
entry_points:
  main: {command: python train.py}
"""
IMAGE = "registry.example/mlflow-training:0123"


@pytest.fixture
def source(lay_out):
    """A project outside of any checkout."""
    files = {"MLproject": PROJECT, "train.py": "first", "part/more.py": ""}
    return lay_out("training", files)


@pytest.fixture
def folder(tmp_path):
    """Where the second one is written."""
    return tmp_path / "k8s_project"


def written(source, folder):
    docker_project.write(source, folder, IMAGE)
    return yaml.safe_load((folder / "MLproject").read_text())


def test_mlflow_reads_from_it_the_image_and_the_same_entry_points(source, folder):
    from mlflow.projects.utils import load_project

    written(source, folder)

    read = load_project(str(folder))
    assert read.docker_env == {"image": IMAGE}
    assert read.get_entry_point("main").command == "python train.py"


def test_no_environment_of_a_laptop_is_beside_the_image(source, folder):
    assert set(written(source, folder)) == {"name", "docker_env", "entry_points"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("name: Flights, delayed", "flights-delayed"),
        ("", "training"),
        ("name: " + 50 * "a", 36 * "a"),
    ],
    ids=["any", "none", "long"],
)
def test_its_name_may_begin_that_of_a_job(source, folder, name, expected):
    (source / "MLproject").write_text(PROJECT.replace("name: Flights, delayed", name))

    assert written(source, folder)["name"] == expected


def test_an_edit_in_the_project_is_one_in_both(source, folder):
    written(source, folder)
    (source / "train.py").write_text("second")

    assert (folder / "train.py").read_text() == "second"
    assert sorted(os.listdir(folder)) == ["MLproject", "part", "train.py"]


def test_written_again_it_has_what_the_project_has_now(source, folder):
    written(source, folder)
    (source / "train.py").rename(source / "fit.py")
    written(source, folder)

    assert sorted(os.listdir(folder)) == ["MLproject", "fit.py", "part"]


@pytest.mark.parametrize("before", ["nothing", "an earlier one"])
def test_what_fails_in_the_middle_leaves_all_as_it_was(source, folder, before):
    if before != "nothing":
        written(source, folder)
    (source / "way out").symlink_to("/etc/hosts")  # refused, when the rest is done
    (source / "MLproject").write_text(PROJECT.replace("train.py", "fit.py"))

    with pytest.raises(Problem, match="way out"):
        written(source, folder)

    assert sorted(os.listdir(folder.parent)) == (
        ["training"] if before == "nothing" else ["k8s_project", "training"]
    )
    if before != "nothing":
        assert "python train.py" in (folder / "MLproject").read_text()


def test_a_folder_of_somebody_else_is_left_alone(source, folder):
    folder.mkdir()
    (folder / "MLproject").write_text(PROJECT)

    with pytest.raises(Problem, match=r"k8s_project is there.*--folder"):
        written(source, folder)

    assert (folder / "MLproject").read_text() == PROJECT


def test_a_file_that_somebody_put_into_it_is_not_lost(source, folder):
    written(source, folder)
    (folder / "notes.txt").write_text("mine")

    with pytest.raises(Problem, match=r"notes\.txt is not by this command"):
        written(source, folder)

    assert (folder / "notes.txt").read_text() == "mine"


def test_it_is_no_part_of_the_project_that_it_is_made_of(source):
    with pytest.raises(Problem, match=r"would be a part of the project.*--folder"):
        written(source, source / "k8s_project")

    assert sorted(os.listdir(source)) == ["MLproject", "part", "train.py"]
