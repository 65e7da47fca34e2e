import signal

import mlflow
import pytest
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

import search
import tracking
import trial
from unusable import Unusable

SMALL = ("--trial_rows", 600, "--max_trees", 8, "--max_depth", 6)


@pytest.fixture
def parent(store, runs):
    """The run of the only search."""
    return lambda: next(run for run in runs() if MLFLOW_PARENT_RUN_ID not in run.data.tags)


@pytest.fixture
def trials(runs, parent):
    """The trials under it."""
    return lambda: runs(**{MLFLOW_PARENT_RUN_ID: parent().info.run_id})


@pytest.fixture
def interrupted(store, runs, start, few, parent):
    """A search whose machine was taken back in its third trial or later."""
    process = start("search.py", "--fpath", few, "--trials", 10_000, *SMALL)
    for line in process.stdout:
        if line.startswith("  2 of 10000"):
            process.send_signal(signal.SIGTERM)
            break
    rest = process.stdout.read()
    assert process.wait() == 143, rest
    return parent()


@pytest.fixture(scope="module")
def autumn(shared_store, call, few):
    """The run of a search with a name."""
    call(search, "--fpath", few, "--trials", 4, "--search_name", "autumn", *SMALL)
    (run,) = found(shared_store, "tags.search = 'autumn'")
    return run


def found(store, condition):
    experiment = store.get_experiment_by_name("flights").experiment_id
    return store.search_runs([experiment], condition, order_by=["attributes.start_time ASC"])


def below(store, run):
    return found(store, f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{run.info.run_id}'")


def test_a_search_keeps_its_trials_under_one_parent_and_registers_the_best(autumn, shared_store):
    store, run, trials = shared_store, autumn, below(shared_store, autumn)
    assert run.info.status == "FINISHED"
    assert [trial.info.run_name for trial in trials] == [f"trial-{n}" for n in (1, 2, 3, 4)]
    assert {trial.info.status for trial in trials} == {"FINISHED"}
    best = max(trial.data.metrics["accuracy"] for trial in trials)
    assert run.data.metrics["best_accuracy"] == best
    assert 0 < run.data.metrics["baseline_accuracy"] < 1
    history = store.get_metric_history(run.info.run_id, "trial_accuracy")
    assert [metric.step for metric in history] == [1, 2, 3, 4]

    plots = {file.path for file in store.list_artifacts(run.info.run_id, "plots")}
    assert {"plots/search_history.png", "plots/parallel_coordinates.png"} < plots
    assert {"plots/roc.png", "plots/confusion_matrix.png", "plots/feature_importance.png"} < plots

    challenger = store.get_model_version_by_alias("flights", "challenger")
    assert challenger.run_id == run.info.run_id
    model = mlflow.pyfunc.load_model("models:/flights@challenger")
    assert model.metadata.signature.inputs.input_names()
    assert set(model.predict(model.input_example)) <= {0, 1}


def test_a_search_whose_machine_is_taken_back_is_killed_and_goes_on_in_the_same_run(
    interrupted, call, few, parent, trials, monkeypatch
):
    assert interrupted.info.status == "KILLED"
    assert interrupted.data.tags["stopped"].startswith("SIGTERM")
    assert {trial.info.status for trial in trials()} <= {"FINISHED", "KILLED"}
    finished = [trial for trial in trials() if trial.info.status == "FINISHED"]
    assert len(finished) >= 2

    monkeypatch.setenv("MLFLOW_RUN_ID", interrupted.info.run_id)
    call(search, "--fpath", few, "--trials", len(finished) + 2, *SMALL)
    run = parent()
    assert run.info.run_id == interrupted.info.run_id
    assert run.info.status == "FINISHED"
    assert "stopped" not in run.data.tags
    assert run.data.tags["starts"] == "2"
    after = [trial for trial in trials() if trial.info.status == "FINISHED"]
    assert [trial.info.run_id for trial in after][:-2] == [t.info.run_id for t in finished]
    assert [int(trial.data.tags["trial"]) for trial in after] == list(range(1, len(after) + 1))


def test_a_named_search_goes_on_under_whatever_run_it_is_started_again(
    autumn, shared_store, call, few, monkeypatch
):
    store = shared_store
    launched = store.create_run(autumn.info.experiment_id)
    monkeypatch.setenv("MLFLOW_RUN_ID", launched.info.run_id)
    call(search, "--fpath", few, "--trials", 5, "--search_name", "autumn", *SMALL)
    (again,) = found(store, "tags.search = 'autumn'")
    assert again.info.run_id == autumn.info.run_id
    assert len(below(store, autumn)) == 5
    launched = store.get_run(launched.info.run_id)
    assert launched.info.status == "FINISHED"
    assert launched.data.tags["continues"] == autumn.info.run_id

    with pytest.raises(Unusable, match="begun with seed=0, now seed=1 is given"):
        call(search, "--fpath", few, "--trials", 6, "--search_name", "autumn", "--seed", 1, *SMALL)


def test_a_trial_that_fails_fails_the_search(store, call, few, parent, trials, monkeypatch):
    def fail(*_):
        raise MemoryError("out of memory")

    monkeypatch.setattr(trial, "grow", fail)
    with pytest.raises(MemoryError):
        call(search, "--fpath", few, *SMALL)
    assert parent().info.status == "FAILED"
    assert [trial.info.status for trial in trials()] == ["FAILED"]


def test_a_trial_whose_process_vanished_is_not_left_running(store, runs):
    with tracking.run("search", {}) as run:
        lost = store.create_run(
            run.info.experiment_id, tags={MLFLOW_PARENT_RUN_ID: run.info.run_id, "trial": "1"}
        )
        assert tracking.finished_children(run) == []
    assert store.get_run(lost.info.run_id).info.status == "KILLED"


def test_a_trial_costs_the_server_three_requests(store, monkeypatch):
    sent = []
    original = tracking.MlflowClient

    class Counting(original):
        def create_run(self, *args, **kwargs):
            sent.append("create_run")
            return super().create_run(*args, **kwargs)

        def log_batch(self, *args, **kwargs):
            sent.append("log_batch")
            return super().log_batch(*args, **kwargs)

        def set_terminated(self, *args, **kwargs):
            sent.append("set_terminated")
            return super().set_terminated(*args, **kwargs)

    with tracking.run("search", {}) as run:
        monkeypatch.setattr(tracking, "MlflowClient", Counting)
        with tracking.child(run, 1, {"max_depth": 4}) as child:
            child.metrics |= {"accuracy": 0.7, "loss": 0.3}
    assert sent == ["create_run", "log_batch", "set_terminated"]
