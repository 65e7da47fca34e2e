"""The pods of the GKE platform, as the program renders them for `dev`, on a real cluster.

`pulumi up` made all that is looked at here. What is different from GKE: `gke/additions.py`.
"""

import base64
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import mlflow
import pytest
import requests

from components.pod_monitoring import COLLECTORS
from components.sql_proxy import sql_proxy
from server.pod import MIGRATION, SERVER, USER
from tests import installed
from tests.cluster import pods
from tests.cluster.cloud_sql.accounts import role
from tests.cluster.cluster import Cluster
from tests.cluster.images.docker import Docker
from tests.engine.cloud.gcp.iam import ACCOUNT
from tests.local.eventually import eventually
from tools.project import ROOT

from .additions import GOOGLE_ACCOUNT, Additions
from .client import Client
from .deployed import LOGIN, PERSON, Deployed, deployed
from .processes import Process, processes

pytestmark = pytest.mark.filterwarnings("ignore:gcp.*has been deprecated:DeprecationWarning")

PAGE = ROOT / "docs/access.md"

PROXY = "cloud-sql-proxy"

OF_ADMIN = "/api/2.0/mlflow/users/get?username=admin"
"""What nobody may know but admins."""

FORBIDDEN = [
    "CREATE TABLE mine (id int)",
    "CREATE SCHEMA mine",
    "CREATE INDEX mine ON experiments (name)",
    "ALTER TABLE experiments ADD COLUMN mine int",
    "DROP TABLE experiments",
    "TRUNCATE experiments",
    "UPDATE alembic_version SET version_num = 'mine'",
    "INSERT INTO alembic_version VALUES ('mine')",
    "DELETE FROM alembic_version",
    "ALTER TABLE users ADD COLUMN mine int",
    "DROP TABLE users",
    "TRUNCATE users CASCADE",
    "UPDATE alembic_version_auth SET version_num = 'mine'",
    "DELETE FROM alembic_version_auth",
]


@pytest.fixture(scope="module")
def dev(
    cluster: Cluster, docker: Docker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployed]:
    """The stack `dev`, up."""
    if cluster.host is None:
        pytest.skip("pods of a cluster that was given do not reach what listens here")
    with deployed(cluster, docker, tmp_path_factory.mktemp("gke")) as dev:
        yield dev


def test_both_pods_of_the_server_are_ready(dev):
    ready = [condition(pod, "Ready")["status"] for pod in dev.pods()]

    assert ready == ["True", "True"]


def test_the_migration_is_complete_and_its_sidecar_has_ended_with_it(dev):
    (pod,) = dev.pods("migration")
    ended = {name: status["state"]["terminated"] for name, status in containers(pod).items()}

    assert condition(dev.one("job"), "Complete")["status"] == "True"
    assert {name: state["exitCode"] for name, state in ended.items()} == {MIGRATION: 0, PROXY: 0}


def test_a_second_up_changes_nothing(dev):
    before = {pod["metadata"]["uid"] for pod in dev.objects("pods")}

    dev.stack.up("--expect-no-changes")

    assert {pod["metadata"]["uid"] for pod in dev.objects("pods")} == before


# How the server logs in, and what it may do.


def test_the_server_logs_in_to_the_database_as_its_google_account(dev):
    accounts = {each.outputs["email"] for each in dev.stack.cloud.world.of(ACCOUNT)}
    said = {each["metadata"]["name"]: annotation(each) for each in dev.objects("serviceaccounts")}
    # An autovacuum worker is connected to the database too, as nobody.
    logged_in = dev.data.sql.postgres.execute(
        "SELECT DISTINCT usename FROM pg_stat_activity "
        "WHERE datname = 'mlflow' AND backend_type = 'client backend'"
    )

    assert said["tracking"] in accounts
    assert logged_in == [(role(said["tracking"]),)]


def test_no_pod_of_the_server_has_a_password_of_the_database(dev):
    given = [text for pod in dev.pods() for text in secrets(dev, pod)]
    variables = [each.environment for pod in dev.pods() for each in all_processes(pod)]
    owner = "".join(text for pod in dev.pods("migration") for text in secrets(dev, pod))

    assert dev.database_passwords
    for password in dev.database_passwords:
        assert password in owner, "an empty search proves nothing"
        assert not [text for text in (*given, *variables) if password in text]
    assert [text for text in given if urlsplit(text).username]
    assert not [text for text in given if urlsplit(text).password]


@pytest.fixture(scope="module")
def answers(dev: Deployed) -> dict[str, str | None]:
    """What the database says to the role of the server, asked from inside of its pod."""
    name = dev.pods()[0]["metadata"]["name"]
    program = (Path(__file__).parent / "statements.py").read_text()
    command = ["exec", name, f"--container={SERVER}", "--", "python", "-c", program]
    asked = [*FORBIDDEN, "INSERT INTO experiments (name, workspace) VALUES ('mine', 'default')"]
    return dict(json.loads(dev.kubectl(*command, *asked)))


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_the_server_cannot_change_the_schema(answers, statement):
    assert answers[statement] == "InsufficientPrivilege"


def test_the_server_may_write_rows(answers):
    assert [answer for statement, answer in answers.items() if statement not in FORBIDDEN] == [None]


# How people log in to the server.


@pytest.fixture(scope="module")
def dora(dev: Deployed) -> tuple[str, str]:
    return dev.scientist()


@pytest.fixture(scope="module")
def tunnel(dev: Deployed) -> Iterator[str]:
    with dev.tunnel() as uri:
        yield uri


@pytest.fixture(scope="module")
def admin(dev: Deployed) -> tuple[str, str]:
    outputs = dev.stack.outputs("--show-secrets")
    return outputs["adminUser"], outputs["adminPassword"]


def status(uri: str, login: tuple[str, str] | None = None) -> int:
    return requests.get(uri, auth=login, timeout=60).status_code


def test_the_migration_has_made_the_admin_whose_password_the_stack_exports(dev, tunnel, admin):
    tables = "SELECT tableowner FROM pg_tables WHERE tablename IN ('users', 'alembic_version_auth')"

    owners = dev.data.sql.postgres.execute(tables, database="mlflow")
    assert owners == [("mlflow_owner",)] * 2
    assert status(f"{tunnel}{OF_ADMIN}", admin) == 200


def test_nobody_gets_an_answer_without_a_login(tunnel, dora):
    asked = f"{tunnel}/api/2.0/mlflow/experiments/search?max_results=1"

    logins = (None, (dora[0], "wrong"), ("nobody", dora[1]), dora)
    assert [status(asked, login) for login in logins] == [401, 401, 401, 200]
    assert status(f"{tunnel}{OF_ADMIN}", dora) == 403


def test_the_page_about_access_tells_what_to_type(tunnel, admin, monkeypatch):
    """An admin makes a user, who then changes the password."""
    passwords = {"for ana: ": "given by ben", "for ben: ": "known to ben", "old: ": "given by ben"}
    monkeypatch.setattr("getpass.getpass", (passwords | {"new: ": "known to ana"}).__getitem__)
    of_admin, of_ana = re.findall(r"^```python\n(.+?)^```", PAGE.read_text(), re.M | re.S)

    for program, login in ((of_admin, admin), (of_ana, ("ana", passwords["old: "]))):
        for name, value in zip(("URI", "USERNAME", "PASSWORD"), (tunnel, *login), strict=True):
            monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", value)
        exec(program, {})  # noqa: S102

    asked = f"{tunnel}/api/2.0/mlflow/users/get?username=ana"
    assert status(asked, ("ana", "known to ana")) == 200
    assert status(asked, ("ben", "known to ben")) == 401


def test_kubernetes_is_told_whether_a_server_is_ready_and_nothing_else(dev, tunnel):
    for pod in dev.pods():
        (server,) = pod["spec"]["containers"]
        assert server["readinessProbe"]["httpGet"]["path"] == "/ready"
    answer = requests.get(f"{tunnel}/ready", timeout=60)

    assert (answer.status_code, answer.content) == (200, b"")


def test_who_submits_jobs_may_make_a_secret_for_them_and_read_none(dev, dora):
    with pytest.raises(AssertionError, match="cannot get resource"):
        dev.kubectl("get", "secret", LOGIN, f"--as={PERSON}", namespace="training")


def test_a_job_logs_in_as_who_submitted_it_and_its_login_ends_with_it(
    dev, dora, tunnel, tmp_path, monkeypatch
):
    (tmp_path / "MLproject").write_text('entry_points: {main: {command: "true"}}\n')
    monkeypatch.syspath_prepend(str(installed.client(tmp_path / "client")))
    known = {"URI": tunnel, "USERNAME": dora[0], "PASSWORD": dora[1]}
    for name, value in known.items():
        monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", value)
    config = {
        "namespace": "training",
        "kubeconfig": str(dev.cluster.kubeconfig),
        "image": dev.image,
        "tracking-uri": dev.stack.outputs()["trackingUriInCluster"],
        "resources": {"limits": {"memory": "128Mi"}},
    }

    submitted = mlflow.projects.run(
        str(tmp_path),
        experiment_name="jobs",
        backend="platform",
        backend_config=config | {"wait": False},
        synchronous=False,
    )

    assert submitted.wait()
    assert submitted.get_status() == "FINISHED"
    names = ("get", "secrets", "--output=name")
    (own,) = {*dev.kubectl(*names, namespace="training").split()} - {f"secret/{LOGIN}"}
    submitted.cancel()
    eventually(lambda: own not in dev.kubectl(*names, namespace="training"))


# How little a pod may do to the machine.


def test_nothing_runs_as_root_or_can_become_it(dev):
    running = [each.status for pod in dev.pods() for each in all_processes(pod)]
    user = "\t".join([str(USER)] * 4)

    assert {each["Uid"] for each in running} == {user}
    assert {each["Gid"] for each in running} == {user}
    assert {int(each["CapEff"], 16) | int(each["CapBnd"], 16) for each in running} == {0}
    assert {each["NoNewPrivs"] for each in running} == {"1"}
    assert {each["Seccomp"] for each in running} == {"2"}, "2 is a filter, 0 would be none"


def test_no_container_can_write_to_its_root(dev):
    running = [each for pod in dev.pods() for each in all_processes(pod)]

    assert all(each.root_is_read_only for each in running)


@pytest.mark.parametrize("namespace", ["mlflow", "training"])
def test_a_pod_that_is_less_hardened_is_refused(dev, namespace):
    with pytest.raises(AssertionError, match='violates PodSecurity "restricted'):
        dev.kubectl("run", "root", "--image=busybox", "--dry-run=server", namespace=namespace)


# A client, and a proxy that dies.


@pytest.fixture(scope="module")
def client(dev: Deployed, dora: tuple[str, str]) -> Client:
    """A pod of the scientist's."""
    return dev.client()


def test_a_client_reads_back_what_it_logged(client):
    read = client.read_back

    assert read["uri"] == "http://mlflow-tracking.mlflow.svc.cluster.local"
    assert read["status"] == "FINISHED"
    assert read["params"] == {"trees": "100"}
    assert read["metrics"] == {"accuracy": 0.75}
    assert read["notes"] == "late\n"


def test_its_artifacts_are_in_the_bucket_that_the_program_made(dev, client):
    bucket, _, folder = dev.stack.outputs()["artifactRoot"].removeprefix("gs://").partition("/")
    names = dev.data.storage.objects(bucket)

    assert [
        name
        for name in names
        if name.endswith(f"{client.read_back['run']}/artifacts/notes/flight.txt")
    ]
    assert {name.partition("/")[0] for name in names} == {folder}


@pytest.mark.usefixtures("client")
def test_nobody_calls_the_server_but_pods_beside_that_client(dev, printed):
    page = f"http://{dev.one('service')['spec']['clusterIP']}/health"
    ask = f"timeout 3 wget -qO- --header 'Host: mlflow-tracking' {page} 2>/dev/null"

    assert printed(pods.pod(pods.shell(f"{ask} || echo no answer"))) == "no answer\n"


@pytest.fixture
def collectors(cluster: Cluster) -> Iterator[None]:
    """Where Google's Prometheus is."""
    cluster.kubectl("create", "namespace", COLLECTORS[0])
    yield
    cluster.kubectl("delete", "namespace", COLLECTORS[0], "--wait=false")


def metrics(dev: Deployed, printed: Callable[..., str], tries: int = 1) -> list[str]:
    """What each pod of the server tells a pod that asks; a net takes a while to know a new pod."""
    (monitoring,) = dev.objects("podmonitorings")
    (endpoint,) = monitoring["spec"]["endpoints"]
    asks = []
    for pod in dev.pods():
        (server,) = pod["spec"]["containers"]
        (port,) = (p for p in server["ports"] if p["name"] == endpoint["port"])
        page = f"http://{pod['status']['podIP']}:{port['containerPort']}/metrics"
        ask = f"timeout 5 wget -qO- {page} 2>/dev/null && break || sleep 1"
        asks.append(f"for _ in $(seq {tries}); do {ask}; done; echo ---;")
    return printed(pods.pod(pods.shell(" ".join(asks)))).split("---\n")[:-1]


@pytest.mark.usefixtures("collectors", "client")
@pytest.mark.parametrize("namespace", COLLECTORS[:1])
def test_googles_prometheus_reads_from_each_pod_what_it_has_answered(dev, namespace, printed):
    told = metrics(dev, printed, tries=30)

    assert len(told) == 2
    for each in told:
        assert 'http_requests_total{method="GET",route="/ready",status="200"}' in each
    assert 'route="/api/2.0/mlflow/runs/log-metric",status="200"' in "".join(told)


def test_nobody_else_reads_it(dev, printed):
    assert metrics(dev, printed) == ["", ""]


@dataclass(frozen=True)
class Crash:
    """A proxy's sudden end."""

    at: datetime
    before: dict[str, Any]
    """The pod."""
    after: dict[str, Any]


@pytest.fixture(scope="module")
def crashes(dev: Deployed, client: Client) -> list[Crash]:
    """The proxies of both pods die, one after the other, while the client writes."""
    return [crash(dev, pod, client) for pod in dev.pods()]


@pytest.fixture(scope="module")
def ended(client: Client, crashes: list[Crash]) -> str:
    return client.stop()


def crash(dev: Deployed, pod: dict[str, Any], client: Client) -> Crash:
    name, restarts = pod["metadata"]["name"], restarted(pod)
    (proxy,) = processes(containers(pod)[PROXY]["containerID"])
    at = datetime.now(UTC).replace(microsecond=0)
    proxy.kill()

    def goes_on() -> bool:
        now = dev.pod(name)
        return restarted(now) != restarts and condition(now, "Ready")["status"] == "True"

    eventually(goes_on)
    client.await_steps(50)
    return Crash(at, pod, dev.pod(name))


def test_a_proxy_that_dies_is_started_again_and_the_server_is_not(crashes):
    for each in crashes:
        before, after = containers(each.before), containers(each.after)

        assert after[PROXY]["restartCount"] == before[PROXY]["restartCount"] + 1
        assert after[SERVER]["restartCount"] == before[SERVER]["restartCount"]


def test_a_pod_gets_no_requests_until_its_proxy_is_there_again(crashes):
    for each in crashes:
        became_ready = condition(each.after, "Ready")["lastTransitionTime"]

        assert datetime.fromisoformat(became_ready) >= each.at


def test_no_acknowledged_write_is_lost_when_proxies_die(dev, client, ended):
    run = client.read_back["run"]
    rows = dev.data.sql.postgres.execute(
        f"SELECT step FROM metrics WHERE run_uuid = '{run}' AND key = 'written'",  # noqa: S608
        database="mlflow",
    )
    acknowledged = client.acknowledged

    assert len(acknowledged) > 100
    assert set(acknowledged) - {step for (step,) in rows} == set()


def test_the_clients_own_retries_are_enough_when_proxies_die(ended):
    assert ended == "Succeeded"


# What is different from GKE.


def test_a_pod_is_the_programs_own_and_what_is_listed(dev):
    account = {"namespace": "mlflow", "name": "tracking", "annotations": {GOOGLE_ACCOUNT: "a@b"}}
    own = {
        "serviceAccountName": "tracking",
        "initContainers": [sql_proxy("p:r:i", iam_login=True)],
        "containers": [{"name": SERVER}],
        "volumes": [{"name": "scratch"}],
    }
    spec = {"replicas": 2, "template": {"metadata": {"labels": {}}, "spec": own}}
    workload = {"kind": "Deployment", "metadata": {"namespace": "mlflow"}, "spec": spec}
    edit = Additions(dev.data)
    edit({"kind": "ServiceAccount", "metadata": account})

    changed = set(differences(workload, edit(workload)))

    path = "spec.template.spec"
    assert changed == {
        f"{path}.initContainers.0.args",
        f"{path}.initContainers.0.env",
        f"{path}.containers.0.env",
    }


def test_the_rules_for_the_network_are_the_programs_own_and_what_is_listed(dev):
    egress = [{"ports": [{"port": 443}]}]
    edit = Additions(dev.data)

    def edited(namespace: str, spec: dict[str, Any]) -> dict[str, Any]:
        policy = {"kind": "NetworkPolicy", "metadata": {"namespace": namespace}, "spec": spec}
        return dict(edit(policy)["spec"])

    here = {"to": [{"ipBlock": {"cidr": f"{dev.cluster.host}/32"}}]}
    assert edited("mlflow", {"egress": egress}) == {"egress": [*egress, here]}
    assert edited("training", {"egress": egress}) == {"egress": egress}
    for closed in ({"policyTypes": ["Egress"]}, {"policyTypes": ["Ingress"], "ingress": [{}]}):
        assert edited("mlflow", closed) == closed


def containers(pod: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What is known of a pod's containers, by name."""
    status = pod["status"]
    found = [*status.get("initContainerStatuses", []), *status["containerStatuses"]]
    return {each["name"]: each for each in found}


def all_processes(pod: dict[str, Any]) -> list[Process]:
    found = {name: processes(each["containerID"]) for name, each in containers(pod).items()}
    assert all(found.values()), "an empty search proves nothing"
    return [each for some in found.values() for each in some]


def restarted(pod: dict[str, Any]) -> int:
    return int(containers(pod)[PROXY]["restartCount"])


def condition(thing: dict[str, Any], kind: str) -> dict[str, str]:
    (found,) = [each for each in thing["status"]["conditions"] if each["type"] == kind]
    return dict(found)


def annotation(account: dict[str, Any]) -> str | None:
    return (account["metadata"].get("annotations") or {}).get(GOOGLE_ACCOUNT)


def secrets(dev: Deployed, pod: dict[str, Any]) -> list[str]:
    """Every text in every Secret that a pod names."""
    spec = json.dumps(pod["spec"])
    named = [each for each in dev.objects("secrets") if f'"{each["metadata"]["name"]}"' in spec]
    assert named, "an empty search proves nothing"
    return [base64.b64decode(text).decode() for each in named for text in each["data"].values()]


def differences(one: Any, other: Any, path: str = "") -> Iterator[str]:
    """Where two objects differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in one.keys() | other.keys():
            yield from differences(one.get(key), other.get(key), f"{path}.{key}".lstrip("."))
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, pair in enumerate(zip(one, other, strict=True)):
            yield from differences(*pair, f"{path}.{number}")
    elif one != other:
        yield path
