import io
import json
import re
import sys

import mlflow
import pandas as pd
import pytest

import flights
import forest
import prepare
import tracking
import train

SMALL = ("--n_estimators", 5, "--max_depth", 6)


@pytest.fixture(scope="module")
def printed(shared_store, few):
    """What training a small forest on 3,000 real flights says."""
    with pytest.MonkeyPatch.context() as patch, io.StringIO() as out:
        patch.setattr(sys, "argv", ["train.py", "forest", "--fpath", str(few), *map(str, SMALL)])
        patch.setattr(sys, "stdout", out)
        train.main()
        return out.getvalue()


@pytest.fixture(scope="module")
def trained(shared_store, printed):
    """The run that it left."""
    (run,) = shared_store.search_runs(
        [shared_store.get_experiment_by_name("flights").experiment_id]
    )
    return run


def test_a_run_tells_its_accuracy_beside_the_majority_class(trained, few):
    metrics = trained.data.metrics
    test = flights.split(pd.read_parquet(few))[1]
    assert metrics["baseline_accuracy"] == flights.majority_accuracy(test[flights.TARGET])
    assert 0.5 < metrics["accuracy"] < 0.8
    assert metrics["loss"] == pytest.approx(1 - metrics["accuracy"])
    assert {"roc_auc", "precision", "recall", "fit_seconds"} < set(metrics)


def test_a_run_tells_what_it_was_made_from(trained, few):
    assert trained.info.status == "FINISHED"
    assert trained.info.run_name == "forest"
    assert trained.data.params["n_estimators"] == "5"
    assert trained.data.params["fpath"] == str(few)
    assert trained.data.tags["device"] == "cpu"
    (data,) = trained.inputs.dataset_inputs
    assert str(few) in data.dataset.source
    assert json.loads(data.dataset.profile)["num_rows"] == len(pd.read_parquet(few))
    columns = json.loads(data.dataset.schema)["mlflow_colspec"]
    assert [column["name"] for column in columns] == [*flights.FEATURES, flights.TARGET]
    assert {tag.key: tag.value for tag in data.tags} == {"mlflow.data.context": "training"}


def test_a_run_keeps_every_plot_of_a_model(trained, shared_store):
    plots = {file.path for file in shared_store.list_artifacts(trained.info.run_id, "plots")}
    assert plots == {
        "plots/roc.png",
        "plots/confusion_matrix.png",
        "plots/feature_importance.png",
    }


def test_the_kept_model_answers_what_a_caller_sends_and_takes_only_what_is_known(trained, few):
    model = mlflow.pyfunc.load_model(f"runs:/{trained.info.run_id}/model")
    signature = model.metadata.signature
    assert signature.inputs.input_names() == list(flights.FEATURES)
    assert model.metadata.saved_input_example_info
    answers = model.predict(
        pd.read_parquet(few)[list(flights.FEATURES)]
        .head(20)
        .astype({name: "int64" for name in flights.NUMBERS} | dict.fromkeys(flights.NAMES, "str"))
    )
    assert set(answers) <= {0, 1}


def test_the_kept_environment_is_the_one_that_was_named(store, runs, call, few, tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text("name: own\ndependencies: [python=3.11, pip, {pip: [scikit-learn==1.9.1]}]\n")
    call(train, "logistic", "--fpath", few, "--conda-env", own)
    kept = mlflow.artifacts.load_text(f"runs:/{runs()[0].info.run_id}/model/conda.yaml")
    assert "name: own" in kept


def test_the_summary_is_short_and_names_the_run(trained, printed):
    assert re.search(r"accuracy +0\.\d{4}, against 0\.\d{4} of the majority class", printed)
    assert trained.info.run_id in printed
    assert len(printed.splitlines()) < 10


def test_the_default_table_is_made_when_it_is_not_there(store, runs, call, tmp_path, monkeypatch):
    monkeypatch.setattr(prepare.airline, "DEFAULT", str(tmp_path / "data/flights.parquet"))
    call(train, "logistic", "--rows", 2_000)
    assert (tmp_path / "data/flights.parquet").exists()
    assert runs()[0].info.status == "FINISHED"


def test_a_failed_fit_fails_the_run(store, runs, call, few, monkeypatch):
    def fail(*_):
        raise MemoryError("cannot allocate the forest")

    monkeypatch.setitem(train.MODELS, "forest", ("random forest", forest.Forest, fail))
    with pytest.raises(MemoryError):
        call(train, "forest", "--fpath", few)
    (run,) = runs()
    assert run.info.status == "FAILED"
    assert run.data.tags["failure"] == "MemoryError: cannot allocate the forest"


def test_ctrl_c_marks_the_run_killed(store, runs, call, few, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setitem(train.MODELS, "forest", ("random forest", forest.Forest, interrupt))
    with pytest.raises(KeyboardInterrupt):
        call(train, "forest", "--fpath", few)
    assert runs()[0].info.status == "KILLED"
    assert runs()[0].data.tags["stopped"] == "Ctrl-C"


def test_a_failed_fit_fails_the_process(runs, call, few, monkeypatch):
    monkeypatch.setattr(tracking, "_end_runs_on_sigterm", lambda: None)
    # What leaves an entry point ends Python with 1, and is the last line that is printed.
    with pytest.raises(ValueError, match="max_samples"):
        tracking.main(lambda: call(train, "forest", "--fpath", few, "--max_samples", "-1"))
    assert [run.info.status for run in runs()] == ["FAILED"]


def test_what_the_user_can_mend_is_said_in_one_line(runs, start, tmp_path):
    process = start("train.py", "forest", "--fpath", tmp_path / "none.parquet")
    out = process.stdout.read()
    assert process.wait() == 1
    assert out.splitlines()[-1].startswith("error: There is no ")
    assert "Traceback" not in out
    assert [run.info.status for run in runs()] == ["FAILED"]


def test_wrong_options_fail_the_run_that_a_launcher_opened(store, runs, call, monkeypatch, capsys):
    opened = store.create_run(store.get_experiment_by_name("flights").experiment_id)
    monkeypatch.setenv("MLFLOW_RUN_ID", opened.info.run_id)
    with pytest.raises(SystemExit) as ended:
        call(train, "forest", "--max_depth", 0)
    assert ended.value.code == 2
    (run,) = runs()
    assert run.info.status == "FAILED"
    assert "--max_depth" in run.data.tags["failure"]
