"""`mlflow-platform connect`, as a person types it."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from mlflow_platform_client import versions
from tests import preloaded

CLIENT = Path(__file__).resolve().parents[2] / "client"

SERVER = """
import base64, http.server, sys
port, *logins = sys.argv[1:]
basic = ["Basic " + base64.b64encode(each.encode()).decode() for each in logins]
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        closed = basic and self.path != "/health" and self.headers["Authorization"] not in basic
        self.send_response(401 if closed else 200); self.end_headers(); self.wfile.write(b"OK")
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", int(port)), Handler).serve_forever()
"""


@pytest.fixture
def port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def behind_a_tunnel(desktop, port, tmp_path):
    """A stack whose tunnel is a program that answers as the server does."""
    (tmp_path / "server.py").write_text(SERVER)
    command = f"true && {sys.executable} {tmp_path / 'server.py'} {port}"
    return desktop | {"trackingUri": f"http://127.0.0.1:{port}", "connectCommand": command}


def connect(*arguments, folder):
    client = [preloaded.python(), "-u", "-m", "mlflow_platform_client"]
    return subprocess.Popen(
        [*client, "connect", "dev", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(CLIENT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def answers(port):
    with socket.socket() as attempt:
        return attempt.connect_ex(("127.0.0.1", port)) == 0


def test_the_tunnel_is_open_until_ctrl_c_and_leaves_nothing_behind(
    behind_a_tunnel, port, saved, tmp_path
):
    process = connect(f"--outputs={saved(behind_a_tunnel)}", folder=tmp_path)
    line = next((line for line in process.stdout if line.startswith("open")), None)
    assert line == f"open       http://127.0.0.1:{port}, until Ctrl-C\n", process.stderr.read()
    assert answers(port)

    process.send_signal(signal.SIGINT)
    printed, errors = process.communicate(timeout=60)

    assert (process.returncode, errors) == (0, "")
    assert printed.endswith("closed\n")
    assert not answers(port)


@pytest.mark.parametrize(
    ("password", "said"),
    [
        ("right", "login      admin\n"),
        ("of yesterday", "login      http://127.0.0.1:{port} refuses admin with the password "),
        (None, "login      http://127.0.0.1:{port} wants a login, and none is set here. Type: "),
    ],
)
def test_it_says_who_the_server_takes_this_shell_for_and_keeps_the_tunnel_open(
    behind_a_tunnel, port, saved, tmp_path, password, said
):
    closed = {
        "connectCommand": f"{behind_a_tunnel['connectCommand']} admin:right",
        "adminUser": "admin",
        "adminPassword": password,
    }

    process = connect(f"--outputs={saved(behind_a_tunnel | closed)}", folder=tmp_path)
    patience = threading.Timer(60, process.kill)  # it would say nothing for ever
    patience.start()
    line = next((line for line in process.stdout if line.startswith("login")), None)
    patience.cancel()

    assert line is not None, process.stderr.read()
    assert line.startswith(said.format(port=port))
    assert answers(port)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")


def test_a_tunnel_that_cannot_be_opened_is_said_with_its_own_reason(
    behind_a_tunnel, saved, tmp_path
):
    outputs = behind_a_tunnel | {"connectCommand": "echo no such cluster >&2; exit 3"}

    process = connect(f"--outputs={saved(outputs)}", folder=tmp_path)
    _, errors = process.communicate(timeout=60)

    assert process.returncode == 1
    assert "no such cluster" in errors
    assert "error: the tunnel ended with 3" in errors
    assert "Traceback" not in errors


def test_without_a_tunnel_it_writes_and_ends(behind_a_tunnel, port, saved, tmp_path):
    folder = tmp_path / "my work"
    folder.mkdir()

    process = connect(f"--outputs={saved(behind_a_tunnel)}", "--no-tunnel", folder=folder)
    printed, errors = process.communicate(timeout=60)

    assert (process.returncode, errors) == (0, "")
    assert {file.name for file in folder.iterdir()} == {
        ".env",
        "k8s_config.json",
        "k8s_job_template.yaml",
        "platform.json",
    }
    assert not answers(port)
    (line,) = [line for line in printed.splitlines() if line.startswith("next")]
    command = f"{line.removeprefix('next')}; echo $MLFLOW_TRACKING_URI"
    sourced = subprocess.run(
        ["sh", "-c", command], cwd=folder, capture_output=True, text=True, check=True
    )
    assert sourced.stdout.strip() == behind_a_tunnel["trackingUri"]


@pytest.mark.parametrize(
    ("client", "words"),
    [
        ("3.17.0", "they fit"),
        ("3.18.1", r"change this side, with: pip install mlflow==3\.17\.2"),
        ("4.0.0", "change this side"),
        ("3.9.0", r"works, .* pip install mlflow==3\.17\.2"),
    ],
)
def test_versions_are_compared_and_the_side_to_change_is_named(client, words):
    verdict = versions.verdict(client, "3.17.2")

    assert f"MLflow {client} here, 3.17.2 on the server" in verdict
    assert re.search(words, verdict)
