import ast
import re
import shlex
import string
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import data
import search
import train
from tests import kubernetes_schemas

TRAINING = Path(train.__file__).parent
PROJECT = yaml.safe_load((TRAINING / "MLproject").read_text())
PARSERS = {"train.py": train.parser, "search.py": search.parser, "data.py": data.parser}


@pytest.fixture(params=PROJECT["entry_points"])
def entry(request):
    return PROJECT["entry_points"][request.param]


def options(command):
    """The options that a command's script knows, with their defaults."""
    _, script, *rest = shlex.split(command)
    parser = PARSERS[script]()
    if rest and not rest[0].startswith("-"):
        parser = parser._subparsers._group_actions[0].choices[rest[0]]
    return {
        action.option_strings[0].removeprefix("--"): action.default
        for action in parser._actions
        if action.dest != "help"
    }


def test_the_name_fits_into_the_name_of_a_kubernetes_job():
    assert re.fullmatch(r"[a-z]([a-z0-9-]{0,34}[a-z0-9])?", PROJECT["name"])


def test_every_declared_parameter_reaches_the_command_under_its_own_name(entry):
    placed = {name for _, name, _, _ in string.Formatter().parse(entry["command"]) if name}
    assert placed == set(entry["parameters"])
    for name in placed:
        assert f"--{name} {{{name}}}" in entry["command"]


def test_every_option_of_a_script_is_a_declared_parameter_with_the_same_default(entry):
    declared = {name: about["default"] for name, about in entry["parameters"].items()}
    assert options(entry["command"]) == declared


def test_every_parameter_tells_its_type_and_what_it_is_for(entry):
    for about in entry["parameters"].values():
        assert about["type"] in {"int", "float", "string"}  # a `path` would be fetched too early
        assert about["description"]


def test_the_default_command_is_understood_by_its_script(entry):
    defaults = {name: about["default"] for name, about in entry["parameters"].items()}
    _, script, *arguments = shlex.split(entry["command"].format(**defaults))
    PARSERS[script]().parse_args(arguments)


def test_the_conda_file_pins_what_the_requirements_pin():
    lines = (TRAINING / "requirements.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all("==" in pin for pin in pins)
    # Which no model needs.
    pins = [pin for pin in pins if not pin.startswith("ray")]
    conda = yaml.safe_load((TRAINING / "conda.yaml").read_text())
    assert conda["dependencies"][-1]["pip"] == pins


def test_the_project_imports_nothing_of_the_program():
    own = {path.stem for path in TRAINING.glob("*.py")}
    libraries = {
        "cuml", "hyperopt", "matplotlib", "mlflow", "numpy", "pandas", "pyarrow", "ray", "sklearn",
        "yaml",
    }  # fmt: skip
    for path in TRAINING.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                package = name.partition(".")[0]
                assert package in own | libraries | sys.stdlib_module_names, f"{path.name}: {name}"


def test_data_and_models_know_nothing_of_mlflow():
    code = "import flights, forest, logistic, trial, tuning, sys; sys.exit('mlflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=TRAINING, check=False).returncode == 0


def test_the_job_template_is_one_that_kubernetes_accepts():
    job = yaml.safe_load((TRAINING / "k8s_job_template.yaml").read_text())
    kubernetes_schemas.validate(job)
    container = job["spec"]["template"]["spec"]["containers"][0]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"


def test_the_ray_job_is_made_of_pods_that_kubernetes_accepts_and_of_options_that_the_search_has():
    job = yaml.safe_load((TRAINING / "ray_job.yaml").read_text())["spec"]
    cluster = job["rayClusterSpec"]
    (workers,) = cluster["workerGroupSpecs"]
    for group in (cluster["headGroupSpec"], workers):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, **group["template"]}
        kubernetes_schemas.validate(pod)
        (container,) = pod["spec"]["containers"]
        assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
        assert group["rayStartParams"] == {"num-cpus": "1", "num-gpus": "1"}
    assert workers["template"]["spec"]["automountServiceAccountToken"] is False

    _, script, *arguments = shlex.split(job["entrypoint"])
    assert script == "search.py"
    # The head makes trials too.
    assert search.parser().parse_args(arguments).workers == workers["maxReplicas"] + 1


def test_every_file_names_the_same_ray():
    pin = re.search(r"^ray\[tune\]==(\S+)", (TRAINING / "requirements.txt").read_text(), re.M)[1]
    job = yaml.safe_load((TRAINING / "ray_job.yaml").read_text())
    assert job["spec"]["rayClusterSpec"]["rayVersion"] == pin
    assert f"ray[default]=={pin}" in (TRAINING / "requirements-cluster.txt").read_text()
