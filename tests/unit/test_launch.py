"""What `server/launch.py` takes for granted of MLflow and uvicorn, which do not promise it."""

import gc
import inspect
import multiprocessing
import sys
from collections.abc import Iterator
from importlib import import_module

import mlflow.server
import pytest
import uvicorn
from mlflow.server import auth, handlers
from mlflow.utils import proto_json_utils
from uvicorn import _subprocess

from server.auth.contract import APP
from server.launch import BRIDGED, COLLECT, counting, serve
from server.message_json import message_to_json

uvicorn_main = import_module("uvicorn.main")


def test_mlflow_starts_uvicorn_as_a_python_module_with_the_app_at_the_end():
    command = mlflow.server._build_uvicorn_command(
        "--loop uvloop", "127.0.0.1", 5000, 2, "mlflow.server.fastapi_app:app"
    )

    assert command[:3] == [sys.executable, "-m", "uvicorn"]
    assert command[-1] == "mlflow.server.fastapi_app:app"


def test_mlflow_starts_it_by_one_function_with_the_environment_by_name():
    source = inspect.getsource(mlflow.server._run_server)

    assert source.count("_exec_cmd(") == 1
    assert "extra_env=env_map" in source


def test_uvicorn_starts_workers_from_one_context():
    assert isinstance(_subprocess.spawn, multiprocessing.context.BaseContext)
    assert "spawn.Process(" in inspect.getsource(_subprocess.get_subprocess)


def test_mlflow_writes_its_answers_by_one_function_of_its_handlers():
    assert handlers.message_to_json is proto_json_utils.message_to_json
    assert "message_to_json(" in inspect.getsource(handlers._wrap_response)
    parameters = [
        inspect.signature(function).parameters
        for function in (message_to_json, handlers.message_to_json)
    ]
    assert [list(each) for each in parameters] == [
        ["message", "pretty", "convert_int64_to_number"]
    ] * 2


def test_mlflow_makes_the_admin_by_one_function():
    source = inspect.getsource(auth.bootstrap_admin_user)

    assert source.count("create_admin_user(auth_config.admin_username") == 1


def test_both_apps_of_mlflow_are_served_as_ours():
    login = mlflow.server._find_app(APP)

    assert mlflow.server._is_factory(login)
    assert {
        "mlflow.server.fastapi_app:app": "server.app:app",
        login: "server.auth.app:app",
    } == BRIDGED


@pytest.fixture
def _pythons_own_collection() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)
    gc.enable()


@pytest.mark.usefixtures("_pythons_own_collection")
def test_a_server_collects_garbage_though_its_start_does_not(monkeypatch):
    seen = []
    monkeypatch.setattr(_subprocess, "spawn", _subprocess.spawn)
    monkeypatch.setattr(
        uvicorn, "main", lambda _: seen.append((gc.isenabled(), gc.get_threshold()))
    )

    gc.disable()
    serve(["python", "-m", "uvicorn", "json:loads"], extra_env={})

    assert seen == [(True, COLLECT)]


def test_uvicorn_supervises_workers_by_one_class_that_is_handed_the_sockets():
    (*_, sockets) = inspect.signature(uvicorn_main.Multiprocess).parameters
    source = inspect.getsource(uvicorn_main.run)

    assert sockets == "sockets"
    assert source.count("Multiprocess(config, sockets=[sock])") == 1


def test_a_client_of_prometheus_that_came_first_is_no_silent_end_of_all_metrics(monkeypatch):
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(RuntimeError, match="there already"), counting("9464"):
        pass
