"""What `pulumi up` leaves on this machine."""

from contextlib import closing

import psutil
import psycopg2
import pytest
from mlflow import MlflowClient

from server.spec import MLFLOW_VERSION


def test_up_exports_the_hand_off(stack):
    assert stack.outputs() == {
        "trackingUri": stack.uri,
        "trackingUriInCluster": stack.uri,
        "uiUrl": stack.uri,
        "artifactRoot": "gs://mlflow/artifacts",
        "serverVersion": MLFLOW_VERSION,
    }


def test_the_stock_client_logs_a_run_and_registers_its_model(stack, run):
    client = MlflowClient(stack.uri)
    client.create_registered_model("forest")
    version = client.create_model_version("forest", f"runs:/{run.id}/notes", run.id)

    run.assert_whole(stack.uri)
    assert client.get_model_version("forest", version.version).run_id == run.id


def test_artifacts_lie_in_the_bucket(stack, run):
    bucket = stack.data / "objects" / "objects" / "mlflow"

    assert [f.read_text() for f in bucket.rglob("departure.txt")] == [run.note]


def test_a_second_up_changes_nothing(stack):
    before = stack.pids()

    stack.up("--expect-no-changes")

    assert stack.pids() == before


def test_only_this_machine_can_connect(stack):
    addresses = {
        (connection.laddr.ip, connection.laddr.port)
        for process in stack.processes()
        for connection in process.net_connections()
        if connection.status == psutil.CONN_LISTEN
    }
    assert addresses == {("127.0.0.1", port) for port in stack.ports.values()}


@pytest.mark.parametrize("role", ["mlflow", "mlflow_owner", "postgres"])
@pytest.mark.parametrize("password", ["", "mlflow", "postgres"])
def test_other_users_of_this_machine_cannot_log_in_to_the_database(stack, role, password):
    with pytest.raises(psycopg2.OperationalError, match="authentication|no password|rejects|entry"):
        psycopg2.connect(
            host="127.0.0.1",
            port=stack.ports["database"],
            dbname="mlflow",
            user=role,
            password=password,
            passfile="/dev/null",
        )


def test_only_we_can_read_the_passwords(stack):
    files = list(stack.data.glob("postgres/**/*.pgpass"))

    assert [file.stat().st_mode & 0o777 for file in files] == [0o600, 0o600]


def test_the_passwords_are_in_no_state_log_command_line_or_environment(stack):
    texts = [
        stack.state(),
        *(log.read_text() for log in stack.data.glob("*/log*")),
        *(" ".join([*p.cmdline(), *p.environ().values()]) for p in stack.processes()),
    ]
    assert [p for p in stack.passwords() if any(p in text for text in texts)] == []


def test_the_server_may_not_change_the_schema(stack):
    environment = psutil.Process(stack.pid("server")).environ()
    url = environment["MLFLOW_BACKEND_STORE_URI"].replace("+psycopg2", "")

    with (
        closing(psycopg2.connect(url)) as connection,
        connection.cursor() as cursor,
        pytest.raises(psycopg2.errors.InsufficientPrivilege),
    ):
        cursor.execute("CREATE TABLE mine (id int)")


def test_the_server_takes_nothing_of_its_users_environment(stack):
    variable = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"

    assert variable in stack.environment
    assert variable not in psutil.Process(stack.pid("server")).environ()
