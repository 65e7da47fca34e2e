"""The search past one machine, on a Ray of one machine that looks like two."""

import io
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, nullcontext, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
from mlflow.entities import Run
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

import flights
import folders
import search
import tracking
from course import Course
from device import Device
from forest import Forest
from tests.local.eventually import eventually
from tuning import Bounds, Trial
from unusable import Unusable

BOUNDS = Bounds(depth=6, trees=8)


def patient(start, tries=3):
    """Start a node; Ray gives up after 30 seconds, which no setting changes."""
    try:
        return start()
    except Exception as error:
        if "timed out during startup" not in str(error) or tries == 1:
            raise
        return patient(start, tries - 1)


@pytest.fixture(scope="module")
def cluster():
    """Two nodes that take one trial each; RAY_ADDRESS names them, as in a cluster's pods."""
    with pytest.MonkeyPatch.context() as patch:
        # On loopback, behind a token.
        patch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        # Where an entry point lies, its modules are found; the tests' entry point is pytest.
        patch.setenv("PYTHONPATH", str(Path(search.__file__).parent))
        # On a busy machine Ray's own programs take their time to start.
        patch.setenv("RAY_agent_register_timeout_ms", "120000")
        from ray.cluster_utils import Cluster

        with folders.scratch("ray-") as folder:
            # It notes where the cluster is in a folder that it does not make.
            (folder / "ray").mkdir()
            patch.setenv("RAY_TMPDIR", str(folder))
            head = {"num_cpus": 1, "include_dashboard": False, "temp_dir": str(folder)}
            # Nobody reads what they watch, all the time.
            head |= {"include_log_monitor": False, "no_monitor": True}
            started = Cluster()
            try:
                patient(lambda: started.add_node(**head))
                patient(lambda: started.add_node(num_cpus=1))
                patch.setenv("RAY_ADDRESS", started.address)
                yield started
            finally:
                started.shutdown()


@pytest.fixture(scope="module")
def distributed(cluster):
    import distributed

    # What this file defines travels to the workers, so that they need not import it.
    distributed.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    return distributed


def searched(distributed, few, total, evaluate):
    """Search with trials of the test's own making, under a run of its own; tell its run too."""
    with tracking.run("hyperopt", {}) as run:
        made = distributed.search(
            Course(run, total),
            *flights.split(flights.read(str(few), rows=600)),
            BOUNDS,
            workers=2,
            seed=0,
            chosen=Device(kind="cpu", name="test"),
            evaluate=evaluate,
        )
    return run, made


def below(store, parent):
    """The trials of a search, by their numbers."""
    found = store.search_runs(
        [parent.info.experiment_id],
        f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{parent.info.run_id}'",
    )
    return sorted(found, key=lambda run: int(run.data.tags["trial"]))


def scores(loss):
    names = ("accuracy", "baseline_accuracy", "roc_auc", "precision", "recall", "fit_seconds")
    return {"loss": loss, **dict.fromkeys(names, 1 - loss)}


def test_a_fit_that_fails_fails_the_search_and_ends_the_other_trials(
    distributed, store, few, runs, tmp_path
):
    begun = tmp_path / "begun"
    begun.mkdir()

    def evaluate(learn, validate, settings, seed, stops):
        if settings.max_features == 0.6:
            (begun / str(time.monotonic_ns())).touch()
            raise MemoryError("out of memory")
        time.sleep(60)
        yield settings.n_estimators, scores(0.3)

    with pytest.raises(MemoryError, match="out of memory"):
        searched(distributed, few, 4, evaluate)
    assert len(list(begun.iterdir())) == 1, "it is not made again"
    (parent,) = (run for run in runs() if MLFLOW_PARENT_RUN_ID not in run.data.tags)
    assert parent.info.status == "FAILED"
    assert parent.data.tags["failure"] == "MemoryError: out of memory"
    first, *others = below(store, parent)
    assert (first.info.status, first.data.tags["failure"]) == (
        "FAILED",
        parent.data.tags["failure"],
    )
    assert {run.info.status for run in others} <= {"KILLED"}


def test_a_worker_lost_between_two_trials_costs_neither(distributed, store, few, tmp_path, capsys):
    lost = tmp_path / "lost"

    def evaluate(learn, validate, settings, seed, stops):
        try:
            # Only the default forest is any good: the others are given up while they grow.
            loss = 0.1 if settings.max_features == 0.6 else 0.4 + time.monotonic() / 1e9
            for trees in (*stops, settings.n_estimators):
                yield trees, scores(loss)
        except GeneratorExit:  # the worker makes itself ready for the next trial
            if not lost.exists():
                lost.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            raise

    parent, made = searched(distributed, few, 6, evaluate)

    assert lost.exists()
    assert len(made) == 6
    trials = below(store, parent)
    assert [run.info.status for run in trials] == ["FINISHED"] * 6
    assert [run.info.run_name for run in trials] == [f"trial-{n}" for n in range(1, 7)]
    assert "is made again" not in capsys.readouterr().out, "it had not begun"


@pytest.mark.parametrize(
    ("lost", "raised", "ends"),
    [
        (3, nullcontext(), tracking.Stopped),
        (4, pytest.raises(Exception, match="lost 4 workers"), Exception),
    ],
)
def test_a_dropped_trial_makes_room_for_another_and_one_that_kills_its_workers_ends_the_search(
    distributed, lost, raised, ends
):
    ended = []
    with ExitStack() as ending:
        ending.push(lambda kind, *_: ended.append(kind))
        watch = distributed._Watch(Course(None, 2), [])
        watch.open["it"] = distributed._Open(1, None, ending.pop_all())
    with raised:
        watch._fail(SimpleNamespace(trial_id="it", num_failures=lost), distributed.RayActorError())
    (kind,) = ended
    assert issubclass(kind, ends)


@dataclass
class Searches:
    """What is left of them, and what the second looked like when its machine was taken back."""

    alone: Run
    stopped: Run
    interrupted: list[Run]
    parent: Run
    together: list[Run]


@pytest.fixture(scope="module")
def searches(distributed, shared_store, start, call, few):
    """One trial by one worker; then a search by two that was taken back and went on."""

    def latest():
        (newest,) = shared_store.search_runs(
            [shared_store.get_experiment_by_name("flights").experiment_id],
            f"tags.`{MLFLOW_PARENT_RUN_ID}` IS NULL",
            order_by=["attributes.start_time DESC"],
            max_results=1,
        )
        return newest

    def trials():
        return below(shared_store, latest())

    # A trial takes half a second or so, long enough to be taken back in the middle.
    options = ("--fpath", few, "--trial_rows", 1_200, "--max_trees", 200, "--max_depth", 12)
    call(search, *options, "--trials", 1)
    (alone,) = trials()

    process = start("search.py", *options, "--trials", 10_000, "--workers", 2)
    ended = set()
    for line in process.stdout:
        if " of 10000 accuracy" in line:
            ended.add(int(line.split()[0]))
        if 1 in ended and len(ended) > 1:
            break
    eventually(lambda: [run.info.status for run in trials()].count("RUNNING") == 2)
    process.send_signal(signal.SIGTERM)
    rest = process.stdout.read()
    assert process.wait() == 143, rest
    stopped, interrupted = latest(), trials()

    total = [run.info.status for run in interrupted].count("FINISHED") + 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_RUN_ID", stopped.info.run_id)
        call(search, *options, "--trials", total, "--workers", 2, "--model_name", "both")
    return Searches(alone, stopped, interrupted, latest(), finished(trials()))


def finished(trials):
    return [run for run in trials if run.info.status == "FINISHED"]


def test_a_search_whose_machine_is_taken_back_goes_on_in_the_same_run(searches):
    assert searches.stopped.info.status == "KILLED"
    assert {run.info.status for run in searches.interrupted} == {"FINISHED", "KILLED"}

    assert searches.parent.info.run_id == searches.stopped.info.run_id
    assert searches.parent.info.status == "FINISHED"
    before = {run.info.run_id for run in finished(searches.interrupted)}
    assert {run.info.run_id for run in searches.together} > before
    assert len({run.data.tags["trial"] for run in searches.together}) == len(before) + 1


def test_two_workers_leave_what_one_leaves_and_beat_the_baseline(searches, shared_store):
    alone, parent = searches.alone.data, searches.parent
    for run in searches.together:
        assert run.info.run_name == f"trial-{run.data.tags['trial']}"
        assert run.data.params.keys() == alone.params.keys()
        assert run.data.metrics.keys() == alone.metrics.keys()
        assert run.data.tags.keys() - {"stopped_early"} == alone.tags.keys()
        trees, loss = int(run.data.params["n_estimators"]), run.data.metrics["loss"]
        assert run.data.tags.get("stopped_early", str(trees)).split()[0] == str(trees)
        assert loss == 1 - run.data.metrics["accuracy"]
    # The first is the default forest, which the search on one worker began with too.
    first = searches.together[0].data
    assert first.tags["trial"] == "1"
    assert first.params == alone.params
    assert first.metrics["accuracy"] == pytest.approx(alone.metrics["accuracy"])

    assert parent.data.metrics["accuracy"] >= parent.data.metrics["baseline_accuracy"]
    best = max(run.data.metrics["accuracy"] for run in searches.together)
    assert parent.data.metrics["best_accuracy"] == best
    plots = {file.path for file in shared_store.list_artifacts(parent.info.run_id, "plots")}
    assert {"plots/search_history.png", "plots/parallel_coordinates.png"} < plots
    version = shared_store.get_model_version_by_alias("both", "challenger")
    assert version.run_id == parent.info.run_id


ON_A_LAPTOP = """\
import contextlib, json, signal, psutil, folders, machines
handler = signal.getsignal(signal.SIGTERM)
with folders.scratch("ray-") as folder:
    with machines.connected(2, folder):
        mine = psutil.Process().children(recursive=True)
        connections = []
        for process in [psutil.Process(), *mine]:
            with contextlib.suppress(psutil.NoSuchProcess):  # it has ended since
                connections += process.net_connections("inet")
        listening = {c.laddr.ip for c in connections if c.status == psutil.CONN_LISTEN}
        kept = signal.getsignal(signal.SIGTERM) == handler
    _, alive = psutil.wait_procs(mine, timeout=20)
print(json.dumps([[ip.removeprefix("::ffff:") for ip in listening], kept, len(alive),
                  folder.exists()]))
"""
"""In a process of its own: what the tests' own Ray is told would be there too."""


def test_a_laptops_own_ray_listens_on_loopback_and_leaves_nothing(monkeypatch):
    for name in [each for each in os.environ if each.startswith("RAY_")]:
        monkeypatch.delenv(name)
    command = [sys.executable, "-c", ON_A_LAPTOP]
    folder = Path(search.__file__).parent
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)

    assert ended.returncode == 0, ended.stderr
    listening, sigterm_kept, alive, scratch_left = json.loads(ended.stdout.splitlines()[-1])
    assert set(listening) == {"127.0.0.1"}
    assert sigterm_kept
    assert (alive, scratch_left) == (0, False)


@pytest.mark.parametrize(("cluster_is", "threads"), [(None, 3), ("somewhere", None)])
def test_workers_of_a_laptop_share_its_cores_and_those_of_a_cluster_have_a_node(
    distributed, store, few, monkeypatch, cluster_is, threads
):
    class Told(Exception):
        pass

    def told(function, **given):
        raise Told(given["threads"])

    monkeypatch.setattr(distributed.machines, "CLUSTER", cluster_is)
    monkeypatch.setattr(distributed.machines, "connected", lambda *_: nullcontext())
    monkeypatch.setattr("device.cores", lambda: 7)
    monkeypatch.setattr(distributed.tune, "with_parameters", told)
    with pytest.raises(Told) as raised:
        searched(distributed, few, 2, None)
    assert raised.value.args == (threads,)


def test_a_search_that_goes_on_proposes_no_forest_that_is_there(distributed):
    fresh = distributed._searcher(BOUNDS, 0, ())
    points = [fresh.suggest(str(number)) for number in range(4)]
    done = [Trial(number, Forest(**point), 0.3) for number, point in enumerate(points, 1)]

    assert distributed._searcher(BOUNDS, 0, done).suggest("next") not in points


def test_without_ray_the_message_names_what_to_type(monkeypatch):
    monkeypatch.delitem(sys.modules, "distributed", raising=False)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(Unusable, match=r"pip install -r requirements\.txt"):
        search.maker(2, Device(kind="cpu", name="test"))
    assert search.maker(1, Device(kind="cpu", name="test"))


@dataclass
class Eventful:
    """What a search told, made and sent, and how often its trials were begun."""

    made: list[Trial]
    trials: list[Run]
    sent: list[str]
    said: str
    begun: int


@pytest.fixture(scope="module")
def eventful(cluster, distributed, shared_store, few, tmp_path_factory):
    """Eight trials, with a worker that is killed and a node that vanishes for good."""
    begun, sent = tmp_path_factory.mktemp("begun"), []

    def evaluate(learn, validate, settings, seed, stops):
        assert "mlflow" not in sys.modules
        (begun / str(time.monotonic_ns())).touch()
        count = len(list(begun.iterdir()))
        if count == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(1)
        # Only the default forest is any good, and each is worse than those before it.
        loss = 0.1 if settings.max_features == 0.6 else 0.4 + count / 40
        for trees in (*(n for n in stops if n < settings.n_estimators), settings.n_estimators):
            yield trees, scores(loss)
            time.sleep(0.05)

    def remove():
        while len(list(begun.iterdir())) < 5:
            time.sleep(0.05)
        (node,) = cluster.worker_nodes
        cluster.remove_node(node, allow_graceful=False)

    def counted(name, original):
        def count(*args, **named):
            sent.append(name)
            return original(*args, **named)

        return count

    removing = threading.Thread(target=remove)
    removing.start()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as said:
        for name in ("create_run", "log_batch", "update_run_info", "set_tag", "log_metric"):
            patch.setattr(SqlAlchemyStore, name, counted(name, getattr(SqlAlchemyStore, name)))
        parent, made = searched(distributed, few, 8, evaluate)
    removing.join()
    return Eventful(
        made, below(shared_store, parent), sent, said.getvalue(), len(list(begun.iterdir()))
    )


def test_a_killed_worker_and_a_node_that_vanishes_cost_no_finished_trial(eventful):
    assert sorted(trial.number for trial in eventful.made) == list(range(1, 9))
    assert [run.info.run_name for run in eventful.trials] == [f"trial-{n}" for n in range(1, 9)]
    assert [run.info.status for run in eventful.trials] == ["FINISHED"] * 8
    assert eventful.begun > 8
    assert "has lost its worker and is made again" in eventful.said


def test_a_trial_costs_four_requests_and_a_forest_worse_than_half_grows_no_further(eventful):
    sent = eventful.sent
    # Those of the run around them: it is opened and named, its parameters sent, and ended.
    assert len(sent) - 4 * 8 <= 4
    assert [sent.count(name) for name in ("create_run", "update_run_info")] == [9, 9]

    assert min(eventful.made, key=lambda trial: trial.loss).number == 1
    assert "stopped_early" not in eventful.trials[0].data.tags
    early = [run for run in eventful.trials if "stopped_early" in run.data.tags]
    assert early
    for run in early:
        trees, _, whole, _ = run.data.tags["stopped_early"].split()
        assert run.data.params["n_estimators"] == trees
        assert int(trees) < int(whole)
