"""How the stack's outputs are read."""

import stat
from dataclasses import fields

import pytest

from mlflow_platform_client import handoff
from mlflow_platform_client.problem import Problem
from platforms.handoff import Handoff as Exported


def test_everything_it_reads_is_exported_by_the_program():
    exported = {field.name for field in fields(Exported)}

    assert {field.name for field in fields(handoff.Handoff)} <= exported


def test_a_stack_is_asked_of_the_pulumi_on_path(gke, saved, tmp_path, monkeypatch):
    program = tmp_path / "bin" / "pulumi"
    program.parent.mkdir()
    asked = f"{handoff.OUTPUT.removeprefix('pulumi ')} dev"
    program.write_text(f'#!/bin/sh\n[ "$*" = "{asked}" ] && cat {saved(gke)}\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")

    assert handoff.of_stack("dev").training_image == gke["trainingImage"]


def test_pulumis_own_reason_is_passed_on(tmp_path, monkeypatch):
    program = tmp_path / "pulumi"
    program.write_text("#!/bin/sh\necho \"error: no stack named 'dve' found\" >&2; exit 255\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    with pytest.raises(Problem, match="no stack named 'dve' found"):
        handoff.of_stack("dve")


def test_without_pulumi_it_says_what_to_ask_for_and_to_type(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(Problem, match=r"mlflow-platform connect dev --outputs FILE"):
        handoff.of_stack("dev")


def test_a_stack_that_is_not_up_is_told_from_a_broken_file(saved, tmp_path):
    with pytest.raises(Problem, match=r"no trackingUri, .*Type: pulumi up"):
        handoff.of_file(saved({}))

    (tmp_path / "outputs.json").write_text("trackingUri: x")
    with pytest.raises(Problem, match="is not JSON"):
        handoff.of_file(tmp_path / "outputs.json")

    with pytest.raises(Problem, match="cannot be read"):
        handoff.of_file(tmp_path / "nowhere.json")


def test_a_secret_that_the_cli_has_hidden_is_none(gke, saved):
    found = handoff.of_file(saved(gke | {"adminUser": "admin", "adminPassword": "[secret]"}))

    assert (found.admin_user, found.admin_password) == ("admin", None)


def test_outputs_of_a_later_program_are_no_obstacle(gke, saved):
    assert handoff.of_file(saved(gke | {"later": "x"})).namespace == "mlflow"
