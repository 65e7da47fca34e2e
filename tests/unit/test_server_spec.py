"""The server's command, environment and sizes, checked against MLflow itself where it can be."""

import re
from pathlib import Path

import pytest
from mlflow.cli import server as mlflow_server
from mlflow.server.security_utils import is_allowed_host_header
from mlflow.version import VERSION

from components.sql_proxy import HEALTH_PORT
from server import metrics_contract
from server.spec import (
    MALLOC,
    METRICS_PORT,
    MLFLOW_VERSION,
    SIZES,
    LoginSettings,
    ServerSettings,
    ServerSpec,
)
from settings import Refused

ROOT = Path(__file__).parents[2]


def spec(**changes):
    defaults = {"size": SIZES["small"], "host": "0.0.0.0", "port": 5000, "names": ("mlflow.team",)}
    return ServerSpec(**{**defaults, **changes})


def test_mlflow_understands_every_flag_of_the_command():
    command = spec().command()
    program, flags = command[:4], command[4:]

    assert program == ["python", "-P", "-m", "server.launch"]
    parsed = mlflow_server.make_context("server", flags, resilient_parsing=False)
    assert parsed.params["host"] == "0.0.0.0"
    assert parsed.params["port"] == 5000
    assert parsed.params["workers"] == "2"


def test_stock_is_mlflows_own_program_with_the_same_arguments():
    tuned, stock = spec().command(), spec(engine="stock").command()

    assert stock == ["mlflow", "server", *tuned[4:]]


@pytest.mark.parametrize("engine", ["tuned", "stock"])
def test_a_login_is_mlflows_own_app_on_both_engines(engine):
    without, command = spec(engine=engine).command(), spec(engine=engine, auth="basic").command()

    assert [word for word in command if word not in without][-1:] == ["--app-name=basic-auth"]
    parsed = mlflow_server.make_context("server", command[4:])
    assert parsed.params["app_name"] == "basic-auth"


def test_plain_mlflow_with_a_login_starts_through_the_program_that_writes_its_file():
    command = spec(engine="stock", auth="basic").command()

    assert command[:4] == ["python", "-P", "-m", "server.auth.stock"]
    assert command[4:-1] == spec().command()[4:]


def test_what_a_login_is_set_to_reaches_only_servers_that_have_one():
    login = LoginSettings(default_permission="EDIT", cache_seconds=0)
    without = spec(login=login).environment()
    more = dict(spec(login=login, auth="basic").environment().items() - without.items())

    assert without == spec().environment()
    assert more == {"LOGIN_DEFAULT_PERMISSION": "EDIT", "LOGIN_CACHE_SECONDS": "0"}


def test_mlflow_reads_the_secrets_of_a_login_and_only_its_own_program_has_the_admins():
    import mlflow.environment_variables as known

    secrets = {
        engine: spec(auth="basic", engine=engine).login_secrets("a password", "a key")
        for engine in ("tuned", "stock")
    }
    assert list(secrets["tuned"].values()) == ["a key"]
    assert list(secrets["stock"].values()) == ["a password", "a key"]
    assert set(secrets["stock"]) <= set(dir(known))


def test_the_budget_counts_the_pool_that_plain_mlflow_opens_for_logins():
    counted = {
        (engine, auth): SIZES["medium"].with_logins(engine, auth).connections
        for engine in ("tuned", "stock")
        for auth in ("none", "basic")
    }
    size = SIZES["medium"]

    assert counted["tuned", "basic"] == counted["tuned", "none"] == size.connections
    more = size.workers * (size.pool + size.overflow)
    assert counted["stock", "basic"] - counted["stock", "none"] == more


def test_mlflow_reads_every_variable_of_the_environment():
    import mlflow.environment_variables as known

    names = {option.envvar for option in mlflow_server.params} | set(dir(known))
    chosen = spec().environment() | spec().stores("db", "gs://bucket")
    assert set(chosen) - set(MALLOC) <= names


def test_no_store_address_shows_in_the_command_where_ps_would_print_it():
    assert not [flag for flag in spec().command() if "store" in flag or "destination" in flag]


@pytest.mark.parametrize(
    ("host", "answered"),
    [
        ("mlflow.team", True),
        ("mlflow.team:5000", True),
        ("mlflow.team.evil.example", False),
        ("other", False),
    ],
)
def test_the_server_answers_to_its_names_with_and_without_port_and_to_no_other(host, answered):
    allowed = spec().environment()["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")

    assert is_allowed_host_header(allowed, host) is answered


def test_direct_access_keeps_artifacts_away_from_the_server():
    direct = spec(artifact_access="direct")

    assert "--no-serve-artifacts" in direct.command()
    assert direct.stores("db", "gs://b")["MLFLOW_DEFAULT_ARTIFACT_ROOT"] == "gs://b"
    assert spec().stores("db", "gs://b")["MLFLOW_ARTIFACTS_DESTINATION"] == "gs://b"


def test_a_load_balancer_may_use_a_connection_that_was_idle_for_ten_minutes():
    (options,) = (word for word in spec().command() if word.startswith("--uvicorn-opts="))
    words = options.split()

    assert int(words[words.index("--timeout-keep-alive") + 1]) > 600


def test_the_budget_counts_full_scale_one_surge_pod_and_the_migration():
    size = SIZES["medium"]
    per_replica = size.workers * 2 * (size.pool + size.overflow) + 2

    assert size.connections == per_replica
    assert size.budget == (size.max_replicas + 1) * per_replica + 4


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_no_size_sets_overflow_to_zero_which_mlflow_would_read_as_ten(size):
    assert size.overflow >= 1


def test_overrides_change_one_number_and_leave_the_rest_of_the_size():
    chosen = ServerSettings(size="medium", max_replicas=6).chosen

    assert chosen.max_replicas == 6
    assert chosen.min_replicas == SIZES["medium"].min_replicas
    assert chosen.workers == SIZES["medium"].workers


def test_more_replicas_at_least_than_at_most_are_refused():
    with pytest.raises(Refused, match="5 pods at least are more than 2 at most") as refused:
        ServerSettings(min_replicas=5)
    assert refused.value.key == "minReplicas"


def test_one_mlflow_version_everywhere():
    pins = re.findall(r"^mlflow==(\S+)", (ROOT / "server/requirements.txt").read_text(), re.M)
    labels = re.findall(r'\.version="(.*)"', (ROOT / "server/Dockerfile").read_text())

    assert len(pins) == len(labels) == 1
    assert {VERSION, *pins, *labels} == {MLFLOW_VERSION}


def test_a_server_that_counts_is_told_where_to_tell_and_plain_mlflow_cannot():
    told = spec(metrics=METRICS_PORT)
    assert told.environment()[metrics_contract.PORT] == str(METRICS_PORT)
    assert METRICS_PORT not in (told.port, HEALTH_PORT)

    for silent in (spec(), spec(metrics=METRICS_PORT, engine="stock")):
        assert silent.metrics_port is None
        assert metrics_contract.PORT not in silent.environment()
