"""Images built, found and handed over by programs that note what they get."""

import json
import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from components import build_context, image_builders
from components.build_context import BuildContext
from components.image_build import ImageProvider
from components.image_builders import CloudBuild, Docker, Loaded, NotBuilt

IMAGE = "gcr.io/my-project/mlflow-tracking"
DIGEST = "sha256:" + "1" * 64
BUILD = "11111111-2222-3333-4444-555555555555"
GCLOUD = {"project": "my-project", "account": "builder@p.iam.gserviceaccount.com", "staging": "b"}

# Answers as the programs do; texts are theirs (gcloud 528, Docker 28).
TOOL = """import json, os, pathlib, sys
here = pathlib.Path(__file__).parent
state = json.loads((here / "state.json").read_text())
command = [pathlib.Path(sys.argv[0]).name, *sys.argv[1:]]
call = {"command": command, "prompts": os.environ.get("CLOUDSDK_CORE_DISABLE_PROMPTS")}

def fail(text):
    print(text, file=sys.stderr)
    sys.exit(1)

def push():
    if state["failures"]:
        failure = state["failures"].pop(0)
        (here / "state.json").write_text(json.dumps(state))
        fail(failure)
    state["tags"].append(state["tag"])
    (here / "state.json").write_text(json.dumps(state))

def save():
    (here / "state.json").write_text(json.dumps(state))

def load(name, nodes):
    for node in nodes:
        state["loaded"].setdefault(node, []).append(name)
    save()

def listed(node):
    print("\\n".join(["docker.io/kindest/local-path:v1", *state["loaded"].get(node, [])]))

def context(folder):
    call["files"] = sorted(p.name for p in pathlib.Path(folder).rglob("*") if p.is_file())

def note():
    with open(here / "calls", "a") as calls:
        calls.write(json.dumps(call) + "\\n")

if state["refuses"]:
    note()
    fail(state["refuses"])
match command:
    case ["gcloud", "artifacts", "docker", "tags", "list", path, *_]:
        note()
        if not state["tags"]:
            fail("ERROR: (gcloud.artifacts.docker.tags.list) NOT_FOUND: Requested entity was not"
                 " found.")
        print(json.dumps([
            {"tag": f"x/tags/{tag}", "version": f"x/versions/{DIGEST}"} for tag in state["tags"]
        ]))
    case ["gcloud", "builds", "submit", folder, config, *_]:
        context(folder)
        call["config"] = json.loads(pathlib.Path(config.removeprefix("--config=")).read_text())
        note()
        print(f"Created [https://x/locations/global/builds/{BUILD}].", file=sys.stderr)
        push()
    case ["gcloud", "builds", "log", build, *_] if build == BUILD:
        note()
        print("Step #0: ERROR: No matching distribution found for mlflow")
    case ["docker", "manifest", "inspect", *_, name]:
        note()
        if not state["tags"]:
            fail("manifest unknown")
        print(json.dumps({"Ref": name, "Descriptor": {"digest": DIGEST}}))
    case ["docker", "build", *_, folder]:
        context(folder)
        note()
        state["built"] += [word[6:] for word in command if word.startswith("--tag=")]
        save()
    case ["docker", "push", _]:
        note()
        push()
    case ["docker", "save", output, name]:
        note()
        pathlib.Path(output.removeprefix("--output=")).write_text(name)
    case ["kind", "get", "nodes", "--name", cluster]:
        note()
        print("\\n".join(f"{cluster}-{node}" for node in state["nodes"]))
    case ["kind", "load", "docker-image", name, "--name", cluster]:
        note()
        load(name, state["nodes"])
    case ["docker", "exec", node, "ctr", *_]:
        note()
        listed(node.rpartition("-")[2])
    case ["minikube", "--profile", _, "image", "load", name]:
        note()
        load(name, state["nodes"])
    case ["microk8s", "images", "import"]:
        note()
        load(sys.stdin.read(), state["nodes"])
    case ["minikube", "--profile", _, "image", "ls"] | ["microk8s", "ctr", "images", "list", _]:
        note()
        listed(state["nodes"][0])
    case ["docker", "image", "ls", _]:
        note()
        print("\\n".join(state["built"]))
"""


@dataclass
class Tools:
    """The programs, and what they were asked."""

    folder: Path
    tag: str

    def set(self, **changes):
        state = {
            "tags": [],
            "tag": self.tag,
            "failures": [],
            "refuses": "",
            "nodes": ["control", "worker"],
            "loaded": {},
            "built": [],
            **changes,
        }
        (self.folder / "state.json").write_text(json.dumps(state))

    @property
    def calls(self):
        log = self.folder / "calls"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


@pytest.fixture
def context(tmp_path, monkeypatch):
    monkeypatch.setattr(build_context, "ROOT", tmp_path)
    (tmp_path / "app").mkdir()
    (tmp_path / "app/Dockerfile").write_text("ARG BASE=x\nFROM ${BASE}\n")
    (tmp_path / "app/.dockerignore").write_text("notes.md\n")
    (tmp_path / "app/notes.md").write_text("")
    return BuildContext("app", {"BASE": "python:3.13"})


@pytest.fixture
def tools(tmp_path, monkeypatch, context):
    tools = Tools(tmp_path / "bin", context.tag)
    tools.folder.mkdir()
    constants = f"DIGEST, BUILD = {DIGEST!r}, {BUILD!r}\n"
    for name in ("gcloud", "docker", "kind", "minikube", "microk8s"):
        program = tools.folder / name
        program.write_text(f"#!{sys.executable}\n{constants}{TOOL}")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    tools.set()
    monkeypatch.setenv("PATH", f"{tools.folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(image_builders, "RETRY_SECONDS", 0.0)
    return tools


@pytest.fixture(params=["cloudbuild", "docker"])
def props(request, context):
    return {
        "image": IMAGE,
        "tag": context.tag,
        "folder": context.folder,
        "arguments": dict(context.arguments),
        "architecture": context.architecture,
        **({"builder": GCLOUD} if request.param == "cloudbuild" else {}),
    }


def test_an_image_that_the_registry_has_is_not_built_again(tools, props):
    tools.set(tags=[props["tag"]])

    made = ImageProvider().create(props)

    assert made.outs["reference"] == f"{IMAGE}@{DIGEST}"
    assert len(tools.calls) == 1


def test_an_older_version_in_the_registry_is_another_image(tools):
    tools.set(tags=["older"])

    assert CloudBuild(**GCLOUD).reference(IMAGE, "newer") is None
    assert CloudBuild(**GCLOUD).reference(IMAGE, "older") == f"{IMAGE}@{DIGEST}"


def test_an_image_that_the_registry_does_not_have_is_built_and_named_by_its_digest(tools, props):
    made = ImageProvider().create(props)

    assert made.id == f"{IMAGE}:{props['tag']}"
    assert made.outs["reference"] == f"{IMAGE}@{DIGEST}"


def test_cloud_build_gets_the_context_and_acts_as_its_own_account(tools, context):
    CloudBuild(**GCLOUD).build(context, IMAGE, context.tag)

    (submit,) = tools.calls
    assert submit["files"] == [".dockerignore", "Dockerfile"]
    assert submit["config"]["serviceAccount"].endswith("/builder@p.iam.gserviceaccount.com")
    assert submit["config"]["options"] == {"logging": "CLOUD_LOGGING_ONLY"}
    assert submit["config"]["images"] == [f"{IMAGE}:{context.tag}"]
    assert "--build-arg=BASE=python:3.13" in submit["config"]["steps"][0]["args"]
    assert "--gcs-source-staging-dir=gs://b/source" in submit["command"]
    assert "--project=my-project" in submit["command"]
    assert submit["prompts"] == "1"


def test_docker_builds_for_the_nodes_and_pushes(tools, context):
    Docker().build(context, IMAGE, context.tag)

    build, push = tools.calls
    assert build["files"] == [".dockerignore", "Dockerfile"]
    assert {"--platform=linux/amd64", "--build-arg=BASE=python:3.13"} <= set(build["command"])
    assert push["command"] == ["docker", "push", f"{IMAGE}:{context.tag}"]


@pytest.mark.parametrize(
    ("host", "repository"),
    [
        ("gcr.io", "us-docker.pkg.dev/p/gcr.io/x"),
        ("eu.gcr.io", "europe-docker.pkg.dev/p/eu.gcr.io/x"),
    ],
)
def test_the_registry_is_asked_where_it_keeps_the_image(tools, host, repository):
    CloudBuild(**GCLOUD).reference(f"{host}/p/x", "tag")

    assert tools.calls[0]["command"][5] == repository


def test_a_failed_build_shows_the_end_of_its_log(tools, context):
    tools.set(failures=['ERROR: (gcloud.builds.submit) build completed with status "FAILURE"'])

    with pytest.raises(NotBuilt) as error:
        CloudBuild(**GCLOUD).build(context, IMAGE, context.tag)

    assert str(error.value).startswith(f"{IMAGE} was not built.")
    assert "No matching distribution found for mlflow" in str(error.value)


def test_a_build_is_tried_again_while_googles_services_learn_of_its_rights(tools, context):
    denied = "ERROR: (gcloud.builds.submit) PERMISSION_DENIED: service account not found"
    tools.set(failures=[denied, denied])

    CloudBuild(**GCLOUD).build(context, IMAGE, context.tag)

    assert [call["command"][2] for call in tools.calls].count("submit") == 3


def test_rights_that_never_come_end_in_an_error(tools, context, monkeypatch):
    monkeypatch.setattr(image_builders, "RIGHTS_SECONDS", -1.0)
    tools.set(failures=["ERROR: PERMISSION_DENIED: iam.serviceaccounts.actAs"])

    with pytest.raises(NotBuilt, match="roles/iam.serviceAccountUser"):
        CloudBuild(**GCLOUD).build(context, IMAGE, context.tag)


@pytest.mark.parametrize(
    ("builder", "printed", "advice"),
    [
        (
            CloudBuild(**GCLOUD),
            "You do not currently have an active account selected.\nPlease run:\n\n"
            "  $ gcloud auth login",
            "Type: gcloud auth login",
        ),
        (
            Docker(),
            "denied: Unauthenticated request. Unauthenticated requests do not have permission",
            "Type: gcloud auth configure-docker",
        ),
        (
            Docker(),
            "Cannot connect to the Docker daemon at unix:///var/run/docker.sock.",
            "mlflow-platform:images.builder cloudbuild",
        ),
    ],
)
def test_a_tool_that_cannot_work_says_what_to_type(tools, builder, printed, advice):
    tools.set(refuses=printed)

    with pytest.raises(NotBuilt) as error:
        builder.reference(IMAGE, "tag")

    assert printed.splitlines()[0] in str(error.value)
    assert str(error.value).endswith(advice)


@pytest.mark.parametrize(
    ("builder", "advice"),
    [
        (CloudBuild(**GCLOUD), "gcloud is not installed. Install the Google Cloud CLI"),
        (Docker(), "docker is not installed. Install Docker"),
    ],
)
def test_a_missing_tool_is_named_with_what_to_install(monkeypatch, tmp_path, builder, advice):
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(NotBuilt, match=advice):
        builder.reference(IMAGE, "tag")


def test_files_that_change_while_an_update_runs_are_not_built_under_the_old_tag(
    tools, props, tmp_path
):
    (tmp_path / "app/Dockerfile").write_text("FROM other\n")

    with pytest.raises(NotBuilt, match="has changed since"):
        ImageProvider().create(props)


def test_only_another_name_or_content_is_another_image(props):
    diff = ImageProvider().diff

    assert diff("id", props, {**props, "builder": {}, "folder": "moved"}).changes is False
    assert diff("id", props, {**props, "tag": "other"}).replaces == ["tag"]
    assert diff("id", props, {**props, "image": "eu.gcr.io/p/x"}).replaces == ["image"]


def test_a_refresh_notices_that_the_registry_has_lost_an_image(tools, props):
    tools.set(tags=[props["tag"]])
    assert ImageProvider().read("id", props).outs["reference"] == f"{IMAGE}@{DIGEST}"

    tools.set(tags=[])
    assert ImageProvider().read("id", props).id == ""


def test_deleting_asks_nobody_because_other_stacks_may_run_the_image(tools, props):
    ImageProvider().delete("id", props)

    assert tools.calls == []


TOOLS = ("docker-desktop", "kind", "microk8s", "minikube")


@pytest.fixture(params=TOOLS)
def loaded(request, context):
    """An image that a tool hands to its cluster."""
    return {
        "image": "localhost/mlflow-tracking",
        "tag": context.tag,
        "folder": context.folder,
        "arguments": dict(context.arguments),
        "builder": {"tool": request.param, "cluster": "mlflow"},
    }


def test_without_a_registry_an_image_is_handed_to_the_cluster_and_named_by_its_tag(tools, loaded):
    assert ImageProvider().read("id", loaded).id == ""

    made = ImageProvider().create(loaded)

    assert made.outs["reference"] == f"localhost/mlflow-tracking:{loaded['tag']}"
    assert ImageProvider().read("id", loaded).outs["reference"] == made.outs["reference"]
    built = [c["command"] for c in tools.calls if c["command"][:2] == ["docker", "build"]]
    assert len(built) == 1
    assert not [word for word in built[0] if word.startswith("--platform")]  # this machine's own
    assert ["docker", "push"] not in [c["command"][:2] for c in tools.calls]


def test_an_image_that_the_cluster_has_is_not_built_again(tools, loaded):
    ImageProvider().create(loaded)
    before = len(tools.calls)

    ImageProvider().create(loaded)

    again = [c["command"] for c in tools.calls[before:]]
    assert [c for c in again if "build" in c or "load" in c or "import" in c] == []


def test_an_image_that_one_node_lacks_is_handed_over_again(tools):
    name = "localhost/mlflow-tracking:tag"
    kind = Loaded("kind", "mlflow")
    tools.set(loaded={"control": [name], "worker": [name]})
    assert kind.reference("localhost/mlflow-tracking", "tag") == name

    tools.set(loaded={"control": [name]})
    assert kind.reference("localhost/mlflow-tracking", "tag") is None


def test_a_kind_cluster_that_is_not_there_is_said_so(tools):
    tools.set(nodes=[])

    with pytest.raises(NotBuilt, match="Type: kind create cluster --name mlflow"):
        Loaded("kind", "mlflow").reference("localhost/mlflow-tracking", "tag")


def test_another_cluster_is_handed_its_own_image(loaded):
    diff = ImageProvider().diff
    other = {**loaded, "builder": {**loaded["builder"], "cluster": "other"}}

    assert diff("id", loaded, loaded).changes is False
    assert diff("id", loaded, other).replaces == ["builder"]


@pytest.mark.parametrize(
    ("image", "plain"),
    [
        ("localhost:5001/mlflow/mlflow-tracking", True),
        ("127.0.0.1:5000/mlflow-tracking", True),
        ("registry.example.com/mlflow-tracking", False),
        ("localhost.example.com/mlflow-tracking", False),
    ],
)
def test_only_a_registry_on_this_machine_is_asked_without_tls(tools, image, plain):
    tools.set(tags=["tag"])

    assert Docker().reference(image, "tag") == f"{image}@{DIGEST}"
    assert ("--insecure" in tools.calls[0]["command"]) is plain


def test_docker_builds_for_the_cpu_of_the_nodes(tools, context):
    arm = BuildContext(context.folder, context.arguments, "arm64")
    Docker().build(arm, IMAGE, arm.tag)

    assert "--platform=linux/arm64" in tools.calls[0]["command"]
    assert arm.tag != context.tag
