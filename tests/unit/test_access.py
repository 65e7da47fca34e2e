"""What `access.auth: basic` makes of a stack, and that nothing of it is there without."""

import pytest

from server.auth import ready
from tests.unit.conftest import deployed
from tests.unit.manifests import invalid

CONFIG_MAP = "kubernetes:core/v1:ConfigMap"
DEPLOYMENT = "kubernetes:apps/v1:Deployment"
JOB = "kubernetes:batch/v1:Job"
LOGIN = "mlflow-platform:kubernetes:Login"
PASSWORD = "random:index/randomPassword:RandomPassword"
ROLE = "kubernetes:rbac.authorization.k8s.io/v1:Role"
SECRET = "kubernetes:core/v1:Secret"

PEOPLE = {"gke": ["ana@example.com"], "kubernetes": ["ana"]}
ADMIN, KEY = "canary-password-mlflow-admin", "canary-password-mlflow-key"


@pytest.fixture(scope="module", params=PEOPLE)
def both(request):
    """A stack without a login, and the same with one."""
    access = {"people": PEOPLE[request.param]}
    return [deployed(request.param, access=access | {"auth": auth}) for auth in ("none", "basic")]


@pytest.fixture(scope="module")
def unprotected():
    """A stack with plain MLflow, a login, and data that may go."""
    return deployed("kubernetes-everything-inside")


@pytest.fixture
def without(both):
    return both[0]


@pytest.fixture
def closed(both):
    return both[1]


def test_kubernetes_knows_every_key_of_every_object(closed):
    assert invalid(closed) == {}


def test_a_login_adds_two_passwords_to_a_stack_and_nothing_else(without, closed):
    added = {r.urn for r in closed.resources} - {r.urn for r in without.resources}

    assert {r.urn for r in without.resources} <= {r.urn for r in closed.resources}
    assert sorted((r.type, r.name) for r in closed.resources if r.urn in added) == [
        (LOGIN, "mlflow"),
        (PASSWORD, "mlflow-admin"),
        (PASSWORD, "mlflow-key"),
    ]


def test_what_differs_with_a_login_is_what_servers_migration_and_people_are_told(without, closed):
    before = {r.urn: r.inputs for r in without.resources}
    changed = {
        (r.type, r.name) for r in closed.resources if r.urn in before and r.inputs != before[r.urn]
    }

    assert changed == {
        (SECRET, "mlflow"),
        (SECRET, "mlflow-migration"),
        (CONFIG_MAP, "mlflow"),
        (DEPLOYMENT, "mlflow"),
        (JOB, "mlflow-migration"),
        (ROLE, "training-submit"),
    }


def test_servers_have_the_key_in_their_secret_and_only_the_migration_the_admins_password(closed):
    servers = closed.one(SECRET, "mlflow").inputs["stringData"]
    migration = closed.one(SECRET, "mlflow-migration").inputs["stringData"]

    assert servers["MLFLOW_FLASK_SERVER_SECRET_KEY"] == KEY
    assert migration["MLFLOW_AUTH_ADMIN_PASSWORD"] == ADMIN
    for secret, holder in ((ADMIN, "mlflow-migration"), (KEY, "mlflow")):
        assert [r.name for r in closed.resources if secret in repr(r.inputs)] == [holder]


def test_the_server_runs_mlflows_app_with_a_login(closed):
    (server,) = closed.one(DEPLOYMENT).inputs["spec"]["template"]["spec"]["containers"]

    assert "--app-name=basic-auth" in server["command"]
    assert closed.one(CONFIG_MAP, "mlflow").inputs["data"]["LOGIN_DEFAULT_PERMISSION"] == "READ"


def test_a_server_is_ready_by_what_is_open_without_a_login(closed, unprotected):
    def asked(record):
        (server,) = record.one(DEPLOYMENT).inputs["spec"]["template"]["spec"]["containers"]
        return server["readinessProbe"]["httpGet"]["path"]

    assert asked(closed) == ready.PATH
    # Plain MLflow has no page of ours.
    assert asked(unprotected) == "/api/3.0/mlflow/server-info"


def test_the_stack_tells_who_the_admin_is_and_without_a_login_there_is_none(without, closed):
    assert (without.outputs["adminUser"], without.outputs["adminPassword"]) == (None, None)
    assert (closed.outputs["adminUser"], closed.outputs["adminPassword"]) == ("admin", ADMIN)


def test_the_admins_password_is_protected_like_the_rows_that_it_opens(closed, unprotected):
    protects = [r.one(PASSWORD, "mlflow-admin").options.protect for r in (closed, unprotected)]

    assert protects == [True, False]


def test_what_users_may_do_is_as_the_stack_says(unprotected):
    told = unprotected.one(CONFIG_MAP, "mlflow").inputs["data"]

    assert (told["LOGIN_DEFAULT_PERMISSION"], told["LOGIN_CACHE_SECONDS"]) == ("EDIT", "60")


def test_the_database_accepts_what_plain_mlflow_opens_for_logins(unprotected):
    """Four servers at most and one during an update, each with two workers."""
    told = unprotected.one(CONFIG_MAP, "mlflow-database").inputs["data"]["postgresql.conf"]

    assert f"max_connections = '{(4 + 1) * (2 * 3 * 5 + 2) + 4 + 6}'" in told
