from dataclasses import replace

import pulumi
import pytest

from components.artifacts import Artifacts, ArtifactsArgs, ArtifactsSettings
from settings import Refused

BUCKET = "gcp:storage/bucket:Bucket"
GRANT = "gcp:storage/bucketIAMMember:BucketIAMMember"


@pytest.fixture
def artifacts(site, apis, identity):
    def build(*, protect=False, **chosen):
        return Artifacts(
            "mlflow-dev",
            ArtifactsArgs(
                site=replace(site, protect=protect),
                apis=apis(),
                settings=ArtifactsSettings(**chosen),
                server=identity("tracking"),
                training=identity("training"),
            ),
        )

    return build


def test_nobody_outside_can_be_let_in(deploy, artifacts):
    bucket = deploy(artifacts).one(BUCKET).inputs

    assert bucket["publicAccessPrevention"] == "enforced"
    assert bucket["uniformBucketLevelAccess"] is True


@pytest.mark.parametrize(
    ("access", "training"),
    [("proxied", "roles/storage.objectViewer"), ("direct", "roles/storage.objectUser")],
)
def test_rights_follow_the_way_that_artifacts_take(deploy, artifacts, access, training):
    grants = deploy(lambda: artifacts(access=access)).all(GRANT)

    assert {g.inputs["member"].partition("@")[0]: g.inputs["role"] for g in grants} == {
        "serviceAccount:mlflow-dev-tracking": "roles/storage.objectUser",
        "serviceAccount:mlflow-dev-training": training,
    }
    assert {g.inputs["bucket"] for g in grants} == {"mlflow-dev-artifacts-1a2b3c4"}


def test_a_bucket_takes_a_generated_name(deploy, artifacts):
    assert "name" not in deploy(artifacts).one(BUCKET).inputs


def test_the_server_starts_only_when_it_may_write(deploy, artifacts, taker):
    record = deploy(lambda: taker("server", artifacts().url))
    server = record.one(taker.type)

    assert server.inputs["keepers"] == {"value": "gs://mlflow-dev-artifacts-1a2b3c4/artifacts"}
    assert record.waits_for(server, record.one(GRANT, "mlflow-dev-server-writes"))


def test_data_sets_have_a_folder_beside_the_artifacts(deploy, artifacts):
    record = deploy(lambda: pulumi.export("data", artifacts().data_url))

    assert record.outputs == {"data": "gs://mlflow-dev-artifacts-1a2b3c4/data"}


@pytest.mark.parametrize(("days", "seconds"), [(0, 0), (7, 604800), (90, 7776000)])
def test_deleted_objects_can_be_had_back_for_a_while(deploy, artifacts, days, seconds):
    bucket = deploy(lambda: artifacts(soft_delete_days=days)).one(BUCKET).inputs

    assert bucket["softDeletePolicy"] == {"retentionDurationSeconds": seconds}


def test_older_versions_and_broken_uploads_go_by_themselves(deploy, artifacts):
    bucket = deploy(lambda: artifacts(versioning=True, noncurrent_days=5)).one(BUCKET).inputs
    rules = {r["action"]["type"]: r["condition"] for r in bucket["lifecycleRules"]}

    assert bucket["versioning"] == {"enabled": True}
    assert rules == {
        "AbortIncompleteMultipartUpload": {"age": 7},
        "Delete": {"daysSinceNoncurrentTime": 5},
    }


def test_cheaper_classes_are_a_choice(deploy, artifacts):
    assert deploy(artifacts).one(BUCKET).inputs["autoclass"] == {"enabled": False}
    assert deploy(lambda: artifacts(autoclass=True)).one(BUCKET).inputs["autoclass"]["enabled"]


@pytest.mark.parametrize("protect", [True, False])
def test_protection_keeps_the_bucket_and_what_is_in_it(deploy, artifacts, protect):
    bucket = deploy(lambda: artifacts(protect=protect)).one(BUCKET)

    assert bucket.options.protect is protect
    assert bucket.inputs["forceDestroy"] is not protect


@pytest.mark.parametrize("days", [1, 6])
def test_a_soft_delete_that_google_does_not_have_is_refused(days):
    with pytest.raises(Refused, match="7 days at least") as refused:
        ArtifactsSettings(soft_delete_days=days)

    assert (refused.value.key, refused.value.cure) == ("softDeleteDays", "7")
