"""How a project is packed, and what is refused before anything is created."""

import io
import os
import subprocess
import tarfile

import pytest

from mlflow_platform_client import entry_point, project
from mlflow_platform_client.problem import Problem

PROJECT = """\
name: small
entry_points:
  main:
    parameters:
      times: {type: int, default: 1}
      word: string
      table: {type: path, default: data.csv}
    command: echo {times} {word} {table}
"""


@pytest.fixture
def folder(lay_out):
    """A project outside of any checkout."""
    files = {"MLproject": PROJECT, "data.csv": "1,2\n", "part/train.py": "print('trained')\n"}
    return lay_out("small project", files)


def names(package):
    with tarfile.open(fileobj=io.BytesIO(package.content)) as archive:
        return archive.getnames()


def git(folder, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def test_the_same_files_give_the_same_bytes_wherever_and_whenever(folder, tmp_path, monkeypatch):
    copy = tmp_path / "elsewhere"
    for name in ("part/train.py", "data.csv", "MLproject"):  # in another order
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_text((folder / name).read_text())
        os.utime(copy / name, (1, 1))

    here = project.pack(folder)
    monkeypatch.setattr("time.time", lambda: 1_000_000_000)
    assert project.pack(copy) == here


def test_the_entries_are_what_lies_in_the_folder_itself_without_what_no_job_needs(folder):
    (folder / ".env").write_text("MLFLOW_TRACKING_PASSWORD=secret")
    (folder / "part" / "more.py").write_text("")

    assert project.entries(folder) == ["MLproject", "data.csv", "part"]


@pytest.mark.parametrize("change", ["content", "name", "right to be executed"])
def test_another_project_has_another_name(folder, change):
    before, file = project.pack(folder).digest, folder / "part" / "train.py"
    if change == "content":
        file.write_text("print('Trained')\n")
    elif change == "name":
        file.rename(folder / "part" / "tune.py")
    else:
        file.chmod(0o755)

    assert project.pack(folder).digest != before


def test_what_no_job_needs_stays_here_and_so_does_the_login(folder):
    for name in (".env", ".venv/bin/python", "mlruns/0/meta.yaml", "part/__pycache__/train.pyc"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("secret")

    assert names(project.pack(folder)) == ["MLproject", "data.csv", "part/train.py"]


def test_what_git_ignores_stays_here_and_what_is_not_committed_yet_goes(folder):
    git(folder, "init")
    (folder / ".gitignore").write_text("*.csv\n")
    (folder / "gone.py").write_text("")
    git(folder, "add", ".")
    git(folder, "commit", "-m", "first")
    (folder / "gone.py").unlink()
    (folder / "new.py").write_text("")

    assert names(project.pack(folder)) == [".gitignore", "MLproject", "new.py", "part/train.py"]


def test_of_a_larger_checkout_only_the_project_is_packed(folder):
    (folder.parent / "other.py").write_text("")
    git(folder.parent, "init")

    assert names(project.pack(folder)) == ["MLproject", "data.csv", "part/train.py"]


def test_a_link_is_followed_inside_the_project_and_refused_out_of_it(folder, tmp_path):
    (folder / "link.csv").symlink_to("data.csv")
    assert "link.csv" in names(project.pack(folder))

    (tmp_path / "secret").touch()
    for target in (tmp_path, tmp_path / "secret", "nowhere"):
        (folder / "data").symlink_to(target)
        with pytest.raises(Problem, match=r"data is a link to .*no Job would have it\. Copy it"):
            project.pack(folder)
        (folder / "data").unlink()


def test_a_project_full_of_data_is_refused_with_the_name_of_the_largest_file(folder, monkeypatch):
    monkeypatch.setattr(project, "MOST_MIB", 1)
    (folder / "data.csv").write_bytes(bytes(2**21))

    with pytest.raises(Problem, match=r"largest file is data\.csv with 2 MiB; 1 MiB are allowed"):
        project.pack(folder)


def test_parameters_reach_the_command_whatever_is_in_them(folder):
    command = entry_point.command(folder, "main", {"word": "it's $HOME", "extra": "a b"})

    said = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True).stdout
    assert said == "1 it's $HOME data.csv --extra a b\n"


def test_missing_parameters_are_named_with_what_to_type(folder):
    with pytest.raises(Problem, match=r"main needs word, without a default\. Add: -P word=VALUE"):
        entry_point.command(folder, "main", {})


@pytest.mark.parametrize("table", ["gs://bucket/data.csv", "/etc/hosts", "../x", "missing.csv"])
def test_a_path_that_a_job_would_not_have_is_refused(folder, table):
    with pytest.raises(Problem, match="declares it as a path.*declare it as a string"):
        entry_point.command(folder, "main", {"word": "x", "table": table})


def test_a_folder_without_mlproject_is_refused(tmp_path):
    with pytest.raises(Problem, match="has no file MLproject.*Type: mlflow run FOLDER"):
        entry_point.command(tmp_path, "main", {})
