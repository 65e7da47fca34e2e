"""What a person reads while a long step runs, and after it failed."""

import sys

import pytest

from tools import logged, progress


def test_a_step_ends_with_the_words_it_was_given(capsys):
    with progress.step("Pulumi CLI") as done:
        done("found")

    assert capsys.readouterr().out.split() == ["Pulumi", "CLI", "found"]


def test_a_long_step_says_beforehand_how_long_it_takes(capsys):
    with progress.step("Pulumi CLI", expect="four minutes"):
        assert "four minutes" in capsys.readouterr().out


def test_a_step_that_breaks_says_so(capsys):
    with pytest.raises(ZeroDivisionError), progress.step("Division"):
        _ = 1 / 0

    assert capsys.readouterr().out.split() == ["Division", "failed"]


def test_a_failed_command_shows_its_last_lines_and_where_the_rest_is(tmp_path, monkeypatch):
    monkeypatch.setattr(logged, "LOGS", tmp_path)
    script = "for i in range(99): print('line', i)\nraise SystemExit('the cause')"

    with pytest.raises(logged.CommandFailed) as failure:
        logged.run("script", [sys.executable, "-c", script])

    assert "the cause" in str(failure.value)
    assert "line 98" in str(failure.value)
    assert "line 9\n" not in str(failure.value)
    assert "line 9\n" in (tmp_path / "script.log").read_text()
