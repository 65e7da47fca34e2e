import math

import pytest

import tuning
from forest import Forest
from tuning import Bounds, Trial

BOUNDS = Bounds(depth=18, trees=40)


def test_a_search_prefers_the_better_model():
    """Forests of depth 12 are best here; a search that maximised the loss would run to an end."""

    def evaluate(number, settings):
        return 1 - (0.9 - abs(settings.max_depth - 12) / 20)

    trials = tuning.search(evaluate, BOUNDS, total=40, seed=0)
    distances = [abs(trial.settings.max_depth - 12) for trial in trials]
    assert min(trials, key=lambda trial: trial.loss).settings.max_depth == 12
    # Drawn at random, the depths would lie 4 off on average.
    assert sum(distances[20:]) / 20 < 3


def test_the_first_trial_is_the_default_forest_within_the_bounds():
    assert tuning.search(lambda *_: 0.5, BOUNDS, total=1, seed=0) == [Trial(1, Forest(), 0.5)]
    small = tuning.search(lambda *_: 0.5, Bounds(depth=4, trees=4), total=6, seed=0)
    assert all(trial.settings.max_depth <= 4 for trial in small)
    assert all(1 <= trial.settings.n_estimators <= 4 for trial in small)


@pytest.mark.parametrize("stopped", [1, 4, 9])
def test_an_interrupted_search_makes_the_trials_it_would_have_made(stopped):
    def evaluate(number, settings):
        return abs(math.sin(settings.max_depth + 3 * settings.max_features))

    whole = tuning.search(evaluate, BOUNDS, total=14, seed=3)
    asked = []

    def count(number, settings):
        asked.append(number)
        return evaluate(number, settings)

    resumed = tuning.search(count, BOUNDS, total=14, seed=3, done=whole[:stopped])
    assert resumed == whole
    assert asked == list(range(stopped + 1, 15))


def test_the_seed_decides_the_search():
    first, same, other = (
        tuning.search(lambda *_: 0.5, BOUNDS, total=4, seed=seed) for seed in (1, 1, 2)
    )
    assert first == same
    assert first != other


def test_a_finished_search_asks_for_no_more_trials():
    done = tuning.search(lambda *_: 0.5, BOUNDS, total=3, seed=0)
    assert tuning.search(pytest.fail, BOUNDS, total=3, seed=0, done=done) == done


def test_a_failing_trial_ends_the_search():
    def evaluate(number, settings):
        raise MemoryError("out of memory")

    with pytest.raises(MemoryError):
        tuning.search(evaluate, BOUNDS, total=3, seed=0)
