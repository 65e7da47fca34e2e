from components.services import Services, ServicesArgs

SERVICE = "gcp:projects/service:Service"


def services(site):
    return Services("apis", ServicesArgs(site=site, apis=("compute", "sqladmin")))


def test_an_api_is_left_enabled_for_other_software_of_the_project(deploy, site):
    enabled = deploy(lambda: services(site)).all(SERVICE)

    assert {s.inputs["service"] for s in enabled} == {
        "compute.googleapis.com",
        "sqladmin.googleapis.com",
    }
    assert all(s.inputs["disableOnDestroy"] is False for s in enabled)


def test_whoever_uses_an_api_waits_for_that_one_alone(deploy, site, taker):
    record = deploy(lambda: taker("network", services(site).enabled["compute"]))
    user = record.one(taker.type)

    assert user.inputs["keepers"] == {"value": "proj"}
    assert record.waits_for(user, record.one(SERVICE, "apis-compute"))
    assert not record.waits_for(user, record.one(SERVICE, "apis-sqladmin"))


def test_the_project_is_known_in_a_preview(deploy, site, taker):
    record = deploy(lambda: taker("network", services(site).enabled["compute"]), preview=True)

    assert record.one(taker.type).inputs["keepers"] == {"value": "proj"}
