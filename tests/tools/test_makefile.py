"""The Makefile and what it calls."""

import os
import re
import subprocess

import pytest

from tools import stack
from tools.project import ROOT


def make(*arguments: str) -> str:
    """What make prints."""
    # The tests may run below a make of their own, whose options are not meant for this one.
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    command = ["make", *arguments]
    answer = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    return answer.stdout


def test_help_names_every_target_a_person_types():
    phony = re.search(r"\.PHONY: (.*?)\n\n", (ROOT / "Makefile").read_text(), re.DOTALL)
    assert phony is not None
    targets = [
        t for t in phony[1].replace("\\\n", " ").split() if not t.startswith(("env-", "check-"))
    ]

    shown = re.findall(r"^  make (\S+) +\S", make(), re.MULTILINE)

    assert sorted(shown) == sorted(targets)


@pytest.mark.parametrize("verb", stack.COMMANDS)
def test_a_stack_command_goes_to_the_stack_that_is_named(verb):
    recipe = make("--dry-run", verb, "STACK=dev", "ARGS=--diff")

    assert recipe.splitlines()[-1] == f".venv/bin/python -m tools.stack {verb} dev --diff"


def test_an_unknown_stack_is_answered_with_the_known_ones():
    with pytest.raises(stack.NoStack, match=r"no Pulumi\.prodd\.yaml.*local"):
        stack.main("up", "prodd")


@pytest.mark.parametrize(("verb", "wish"), [("up", "delete"), ("down", "yes")])
def test_data_are_only_deleted_by_the_words_that_are_documented(verb, wish, monkeypatch):
    monkeypatch.setenv("DATA", wish)

    with pytest.raises(stack.NoStack, match="leave it out"):
        stack.main(verb, "local")


def test_down_keeps_the_data_unless_told_otherwise(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(stack.ProjectStack, "data", tmp_path / "data")
    (tmp_path / "data").mkdir()
    local = stack.ProjectStack("local")

    stack.clear(local, "")
    assert (tmp_path / "data").exists()
    assert f"kept in {tmp_path}" in capsys.readouterr().out

    stack.clear(local, "delete")
    assert not (tmp_path / "data").exists()
    assert f"removed all runs, models and logs: {tmp_path}" in capsys.readouterr().out
