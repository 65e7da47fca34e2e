"""MLflow's pages in a real browser: their requests carry the `Origin` that clients do not send."""


def test_the_experiment_page_lists_the_run_by_the_other_name_of_this_machine_too(stack, run, page):
    shown = page(f"http://localhost:{stack.ports['server']}/#/experiments/{run.experiment}/runs")

    assert run.name in shown
