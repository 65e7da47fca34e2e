"""MLflow's pages in a real browser: their requests carry the `Origin` that clients do not send."""

import pytest


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_the_experiment_page_lists_the_run(stack, run, page, name):
    shown = page(f"http://{name}:{stack.ports['server']}/#/experiments/{run.experiment}/runs")

    assert run.name in shown


def test_the_run_page_shows_its_metric_and_parameter(stack, run, page):
    shown = page(f"{stack.uri}/#/experiments/{run.experiment}/runs/{run.id}")

    assert run.name in shown
    assert "accuracy" in shown
    assert "0.875" in shown
    assert "depth" in shown
