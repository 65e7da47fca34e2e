import pytest

from components.identities import Identities, IdentitiesArgs

ACCOUNT = "gcp:serviceaccount/account:Account"
GRANT = "gcp:projects/iAMMember:IAMMember"


@pytest.fixture
def identities(site, apis):
    def build(*, builder=False):
        return Identities("mlflow-dev", IdentitiesArgs(site=site, apis=apis(), builder=builder))

    return build


def test_each_job_has_an_account_of_its_own(deploy, identities):
    ids = [a.inputs["accountId"] for a in deploy(identities).all(ACCOUNT)]

    assert sorted(ids) == [
        f"mlflow-dev-{j}" for j in ("migration", "nodes", "tracking", "training")
    ]


def test_only_machines_have_a_right_on_the_whole_project(deploy, identities):
    grants = [(g.inputs["member"], g.inputs["role"]) for g in deploy(identities).all(GRANT)]

    assert grants == [
        (
            "serviceAccount:mlflow-dev-nodes@proj.iam.gserviceaccount.com",
            "roles/container.defaultNodeServiceAccount",
        )
    ]


def test_an_account_for_builds_exists_only_where_cloud_build_builds(deploy, identities):
    def accounts(**chosen):
        return {a.inputs["accountId"] for a in deploy(lambda: identities(**chosen)).all(ACCOUNT)}

    assert accounts(builder=True) - accounts(builder=False) == {"mlflow-dev-builder"}


def test_machines_start_only_when_they_may_write_logs(deploy, identities, taker):
    record = deploy(lambda: taker("pool", identities().nodes.email))

    assert record.waits_for(record.one(taker.type), record.one(GRANT))


def test_no_account_waits_for_the_rights_of_another(deploy, identities, taker):
    record = deploy(lambda: taker("bucket", identities().training.member))
    user = record.one(taker.type)

    assert record.waits_for(user, record.one(ACCOUNT, "mlflow-dev-training"))
    assert not record.waits_for(user, record.one(ACCOUNT, "mlflow-dev-nodes"))
    assert not record.waits_for(user, record.one(GRANT))
