"""What the demo makes of what its commands say, and when it trains again."""

import shutil

import pytest

from tools import demo

BUSY = """\
Updating (local):
 +  pulumi-python:dynamic/local:Postgres mlflow creating (0s)
Diagnostics:
  pulumi-python:dynamic/local:Postgres (mlflow):
    error: pulumi-python:dynamic/local:Postgres resource 'mlflow': property port value {5051} has \
a problem: Postgres cannot listen on 127.0.0.1:5051: nginx (pid 7) does already.
    Give this stack another port:
      mlflow-platform:ports: {database: 5061}

  pulumi:pulumi:Stack (mlflow-platform-local):
    error: update failed
    warning: Attempting to deploy or update resources with 1 pending operations.

    Note that `pulumi refresh` will need to be run interactively.

Resources:
    1 unchanged

Duration: 1s
"""


def test_a_refusal_is_passed_on_in_plain_words():
    assert demo.diagnostics(BUSY) == (
        "Postgres cannot listen on 127.0.0.1:5051: nginx (pid 7) does already.\n"
        "Give this stack another port:\n"
        "  mlflow-platform:ports: {database: 5061}\n"
        "update failed"
    )


@pytest.mark.parametrize(
    ("resources", "words"),
    [
        ("    + 4 created\n", "4 created"),
        ("    4 unchanged\n", "4 unchanged"),
        (
            "    ~ 1 updated\n    +-1 replaced\n    2 unchanged\n",
            "1 updated, 1 replaced, 2 unchanged",
        ),
    ],
)
def test_the_step_ends_with_what_changed(resources, words):
    assert demo.changes(f"Updating (local):\nResources:\n{resources}\nDuration: 3s\n") == words


@pytest.mark.parametrize("changed", ["train.py", "MLproject", "flights.parquet"])
def test_changed_code_or_data_are_trained_on_again(tmp_path, changed):
    for name in ("train.py", "MLproject", "flights.parquet"):
        (tmp_path / name).write_text(name)
    data = shutil.move(tmp_path / "flights.parquet", tmp_path / "data.parquet")
    before = demo.fingerprint(tmp_path, data)
    assert demo.fingerprint(tmp_path, data) == before

    file = data if changed == "flights.parquet" else tmp_path / changed
    file.write_text("other")

    assert demo.fingerprint(tmp_path, data) != before
