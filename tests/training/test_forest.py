from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import flights
import forest
import logistic
import scores
from forest import Forest
from logistic import Logistic

SMALL = Forest(n_estimators=8, max_depth=8)


@pytest.fixture(scope="module")
def halves(table):
    return flights.split(flights.read(str(table), rows=20_000))


def test_a_forest_beats_the_majority_class_on_flights_it_has_not_seen(halves):
    train, test = halves
    metrics = scores.score(forest.fit(train, Forest()), test).metrics()
    assert metrics["accuracy"] > metrics["baseline_accuracy"] + 0.02
    assert metrics["roc_auc"] > 0.6


def test_the_smaller_loss_belongs_to_the_better_answers():
    late = np.array([1, 1, 0, 0])
    good = scores.Scores(late, np.array([0.9, 0.8, 0.2, 0.1]))
    bad = scores.Scores(late, np.array([0.1, 0.8, 0.2, 0.9]))
    assert (good.loss, bad.loss) == (0.0, 0.5)


def test_the_seed_decides_the_forest(halves):
    train, test = halves
    first, same, other = (
        scores.score(forest.fit(train, SMALL, seed), test).probability for seed in (1, 1, 2)
    )
    # The trees' answers are added in the order in which threads finish.
    assert np.allclose(first, same, atol=1e-12)
    assert not np.allclose(first, other, atol=1e-3)


def test_the_depth_is_bounded(halves):
    model = forest.fit(halves[0], SMALL)
    assert max(tree.get_depth() for tree in model["forest"].estimators_) <= 8


@pytest.mark.parametrize(("fit", "settings"), [(forest.fit, SMALL), (logistic.fit, Logistic())])
def test_an_airport_never_seen_before_gets_an_answer(halves, fit, settings):
    train, test = halves
    unseen = test.head(3).astype({"Dest": str}).assign(Dest="XXX")
    assert len(scores.score(fit(train, settings), unseen).answer) == 3


@pytest.mark.parametrize("penalty", ["l1", "l2", "none"])
def test_logistic_regression_takes_every_penalty(halves, penalty):
    train = halves[0].head(2_000)
    strong = logistic.fit(train, Logistic(C=0.01, penalty=penalty))["logistic"].coef_
    weak = logistic.fit(train, Logistic(C=1, penalty=penalty))["logistic"].coef_
    if penalty == "none":
        assert (strong == weak).all()
    else:
        assert np.abs(strong).sum() < np.abs(weak).sum()
    assert bool((strong == 0).mean() > 0.5) == (penalty == "l1")


def test_the_importance_of_a_column_is_the_accuracy_it_brings(halves):
    train, test = halves
    told = pd.concat([train, test]).copy()
    told["FlightNum"] = told[flights.TARGET]  # a column that gives the answer away
    train, test = flights.split(told)
    lost = scores.importance(forest.fit(train, SMALL), test)
    assert lost.idxmax() == "FlightNum"
    assert lost["FlightNum"] > 0.2
    assert set(lost.index) == set(flights.FEATURES)


def test_a_forest_that_was_grown_in_steps_is_the_one_that_was_fitted_in_one_go(halves):
    train, test = halves
    grown = {
        trees: scores.score(model, test).probability
        for trees, model in forest.grow(train, SMALL, 3, stops=(2, 4, 99))
    }
    assert list(grown) == [2, 4, 8]
    for trees, probability in grown.items():
        once = forest.fit(train, replace(SMALL, n_estimators=trees), 3)
        assert np.allclose(probability, scores.score(once, test).probability, atol=1e-12)
