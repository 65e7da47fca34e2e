"""What the backend config may say, and how it is told what it may not."""

import pytest

from mlflow_platform_client import settings
from mlflow_platform_client.problem import Problem

IMAGE = f"localhost:5001/project/training@sha256:{7:064}"
LEAST = {"namespace": "mlflow", "image": IMAGE, "tracking-uri": "http://mlflow-tracking.mlflow"}


def test_the_least_is_a_namespace_an_image_and_the_server():
    assert settings.read(LEAST).document() == LEAST


def test_what_mlflow_adds_for_its_own_backends_is_no_mistake():
    added = dict.fromkeys(settings.MLFLOWS_OWN)

    assert settings.read(LEAST | added | {"written-by": "somebody"}).namespace == "mlflow"


@pytest.mark.parametrize("config", [None, {}, "platform.yaml", {"SYNCHRONOUS": False}])
def test_without_a_backend_config_it_says_which_command_writes_one(config):
    with pytest.raises(Problem, match=r"--backend-config platform\.json, .*connect STACK` writes"):
        settings.read(config)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"gpu": 1}, r"unknown key gpu\. Did you mean gpus\? Allowed: .*, context, .*, wait$"),
        (
            {"resources": {"limit": {}}},
            r"unknown key limit\. Did you mean limits\? Allowed: limits",
        ),
        ({"tolerations": [{"keys": "a"}]}, r"unknown key keys\. Did you mean key\?"),
        ({"wait": "yes"}, r"wait is 'yes': Input should be a valid boolean"),
        ({"gpus": -1}, r"gpus is -1: .*greater than or equal to 0"),
        ({"gpus": "1"}, r"gpus is '1': .*integer"),
        ({"resources": {"requests": {"cpu": "2 cores"}}}, r"cpu is '2 cores': .*like \"500m\""),
        ({"image": "gcr.io/project/training"}, r"by digest or by a tag other than latest"),
        ({"image": "training:latest"}, r"by digest or by a tag other than latest"),
        ({"image": "Training:1"}, r"no name of an image, as in gcr\.io/PROJECT/NAME@sha256"),
        ({"tracking-uri": "https://me:secret@server"}, r"like http://NAME:80, without a login"),
        ({"namespace": "My Team"}, r"namespace is 'My Team': .*small letters"),
    ],
)
def test_a_mistake_is_named_with_what_is_allowed(wrong, words):
    with pytest.raises(Problem, match=f"backend config: .*{words}"):
        settings.read(LEAST | wrong)


def test_all_mistakes_are_named_at_once():
    with pytest.raises(Problem) as refused:
        settings.read({"namespace": "mlflow", "gpus": "x", "nodes": 1})

    for word in ("image is missing", "tracking-uri is missing", "gpus is 'x'", "unknown key nodes"):
        assert word in str(refused.value)


def test_an_image_may_be_named_by_the_hash_that_is_its_tag():
    """Clusters on a laptop have no registry, and only a registry gives digests."""
    image = "localhost/mlflow-training:3f2a9c"

    assert settings.read(LEAST | {"image": image}).image == image
