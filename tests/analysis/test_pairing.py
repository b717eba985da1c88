from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import pytest

from bench.analysis.load import load
from bench.analysis.pairing import pairs_of
from bench.analysis.records import Records
from bench.analysis.strata import NO_FIGURE, NOT_PLANNED, OTHER_CONDITIONS, Gap, Pairs, Shortage
from bench.record.store import Store
from bench.spec.hypotheses import Hypothesis
from tests.builders.records import MadeTrial, write_experiment, write_plan, write_trial


def claim(metric: str = "best_val_dice", **changes: Any) -> Hypothesis:
    sides = {"a": {"model": "a"}, "b": {"model": "b"}, "expect": "higher"}
    return Hypothesis.model_validate({"id": "h", "claim": "c", "metric": metric} | sides | changes)


def trial(seed: int | None, dice: float | None, *labels: str, **changes: Any) -> MadeTrial:
    axes = dict(zip(("model", "augment"), labels, strict=False))
    summary = {} if dice is None else {"best_val_dice": dice}
    return MadeTrial(seed, axes, summary=summary | changes.pop("summary", {}), **changes)


def records(root: Path, trials: list[MadeTrial], **changes: Any) -> Records:
    write_experiment(root, "exp", trials, **changes)
    return load(Store(root), "exp")


def paired(root: Path, trials: list[MadeTrial], hypothesis: Hypothesis) -> Pairs:
    return pairs_of(records(root, trials), hypothesis)


def counts(found: Pairs) -> tuple[int, int, int]:
    return found.count("missing"), found.count("unpaired"), found.count("unlike")


def test_pairs_share_a_seed(tmp_path: Path) -> None:
    a = [trial(0, 0.5, "a"), trial(1, 0.7, "a"), trial(2, 0.9, "a")]
    b = [trial(2, 0.6, "b"), trial(0, 0.25, "b"), trial(1, 0.75, "b")]
    found = paired(tmp_path, a + b, claim())
    assert list(found.by_seed) == pytest.approx([0.25, -0.05, 0.3])
    assert counts(found) == (0, 0, 0)
    assert [dict(stratum.axes) for stratum in found.strata] == [{}]


def test_open_axes_are_strata_averaged_within_a_seed(tmp_path: Path) -> None:
    a = [trial(s, 0.5 + s / 4, "a", "x") for s in (0, 1)]
    a += [trial(s, 0.9, "a", "y") for s in (0, 1)]
    b = [trial(s, 0.25, "b", "x") for s in (0, 1)] + [trial(s, 0.4, "b", "y") for s in (0, 1)]
    found = paired(tmp_path, a + b, claim())
    assert [dict(stratum.axes) for stratum in found.strata] == [{"augment": "x"}, {"augment": "y"}]
    assert found.strata[0].differences == {0: 0.25, 1: 0.5}
    assert found.strata[1].differences == pytest.approx({0: 0.5, 1: 0.5})
    assert list(found.by_seed) == pytest.approx([0.375, 0.5])


def crossed(lacking: dict[tuple[str, str, int], str], seeds: int = 5) -> list[MadeTrial]:
    """Models a and b with x, where a − b is 0.25, and with y, where it is −0.25; some failed."""
    level = {"ax": 0.5, "ay": 0.0, "bx": 0.25, "by": 0.25}
    trials = []
    for model, augment, seed in itertools.product("ab", "xy", range(seeds)):
        how = lacking.get((model, augment, seed))
        made = trial(seed, None if how else level[model + augment] + 0.125 * seed, model, augment)
        if how in ("planned", "interrupted"):
            made.status = how
        elif how:
            made.status, made.failure = "failed", how
        trials.append(made)
    return trials


def test_a_seed_counts_only_with_all_strata(tmp_path: Path) -> None:
    lacking = {("a", "y", 3): "out_of_memory", ("b", "x", 1): "diverged", ("a", "x", 1): "planned"}
    found = paired(tmp_path, crossed(lacking), claim())
    assert (found.seeds, found.complete) == ([0, 1, 2, 3, 4], [0, 2, 4])
    assert list(found.by_seed) == [0.0, 0.0, 0.0]
    assert [list(stratum.differences) for stratum in found.strata] == [[0, 2, 3, 4], [0, 1, 2, 4]]
    assert found.shortages == [
        Shortage({"augment": "x"}, "a", "planned", (1,)),
        Shortage({"augment": "x"}, "b", "diverged", (1,)),
        Shortage({"augment": "y"}, "a", "out_of_memory", (3,)),
    ]
    assert (found.trials("a"), found.trials("b")) == (10, 10)
    assert found.failures == {"out_of_memory": {"a": 1, "b": 0}, "diverged": {"a": 0, "b": 1}}


def test_a_stratum_that_never_trained_is_lacking_from_every_seed(tmp_path: Path) -> None:
    lacking = {("a", "y", seed): "out_of_memory" for seed in range(5)}
    found = paired(tmp_path, crossed(lacking), claim())
    assert (found.complete, list(found.by_seed)) == ([], [])
    assert found.shortages == [
        Shortage({"augment": "y"}, "a", "out_of_memory", (0, 1, 2, 3, 4)),
    ]


def test_excluded_strata_are_not_planned(tmp_path: Path) -> None:
    """The plan has no arm of b with y, so that nothing is lacking; a's are without counterpart."""
    trials = [t for t in crossed({}) if t.labels != ["b", "y"]]
    found = paired(tmp_path, trials, claim())
    assert (found.complete, found.shortages) == ([0, 1, 2, 3, 4], [])
    assert list(found.by_seed) == [0.25] * 5
    assert counts(found) == (0, 5, 0)


def test_seeds_that_one_stratum_was_not_planned_with(tmp_path: Path) -> None:
    trials = [t for t in crossed({}) if t.axes["augment"] == "x" or (t.seed or 0) < 3]
    trials = [t for t in trials if (t.labels, t.seed) != (["b", "x"], 4)]
    found = paired(tmp_path, trials, claim())
    assert (found.seeds, found.complete) == ([0, 1, 2, 3], [0, 1, 2])  # a's seed 4 has no pair
    assert found.shortages == [Shortage({"augment": "y"}, None, NOT_PLANNED, (3,))]
    assert counts(found) == (0, 1, 0)


def test_strata_of_an_earlier_plan_are_shown_and_not_counted(tmp_path: Path) -> None:
    trials = crossed({})
    planned = [t for t in trials if t.axes["augment"] == "x"]
    write_experiment(tmp_path, "exp", planned)
    for each in trials:
        if each not in planned:
            write_trial(tmp_path, "exp", each)
    made = load(Store(tmp_path), "exp")
    found = pairs_of(made, claim())
    assert list(found.by_seed) == [0.25] * 5
    assert [stratum.axes["augment"] for stratum in found.not_planned] == ["y"]
    assert len(found.strata) == 2
    # further seeds of a planned stratum are repeats like any other
    write_experiment(tmp_path / "b", "exp", [t for t in planned if t.seed != 4])
    for each in planned[4::5]:
        write_trial(tmp_path / "b", "exp", each)
    assert len(pairs_of(load(Store(tmp_path / "b"), "exp"), claim()).complete) == 5
    # hypotheses about arms that the plan has none of by now: what is recorded counts
    write_plan(tmp_path, "exp", [trial(0, 0.5, "c", "z")])
    assert list(pairs_of(load(Store(tmp_path), "exp"), claim()).by_seed) == [0.0] * 5


def test_without_a_plan_what_is_recorded_was_planned(tmp_path: Path) -> None:
    for each in crossed({("a", "y", 3): "crash"}):
        each.history = [{"epoch": 1, "val/dice": each.summary.get("best_val_dice")}]
        write_trial(tmp_path, "exp", each)
    found = pairs_of(load(Store(tmp_path), "exp"), claim())
    assert (len(found.seeds), found.complete) == (5, [0, 1, 2, 4])


def test_complete_seeds_against_a_number(tmp_path: Path) -> None:
    found = paired(tmp_path, crossed({("a", "y", 3): "killed"}), claim(b=0.25))
    # (0.5 + 0) / 2 + seed / 8 − 0.25
    assert list(found.by_seed) == pytest.approx([0.0, 0.125, 0.25, 0.5])
    assert found.shortages == [Shortage({"augment": "y"}, "a", "killed", (3,))]
    assert (found.trials("a"), found.trials("b")) == (10, 0)


def test_strata_stand_in_the_order_of_the_plan(tmp_path: Path) -> None:
    trials = [trial(0, 0.5, m, x) for m in "ab" for x in ("zebra", "ant")]
    found = paired(tmp_path, trials, claim())
    assert [stratum.axes["augment"] for stratum in found.strata] == ["zebra", "ant"]


def test_what_is_missing_is_counted_and_never_made_up(tmp_path: Path) -> None:
    a = [
        trial(0, 0.5, "a"),
        trial(1, None, "a", status="failed", failure="diverged", message="m"),
        trial(2, None, "a"),  # finished, and has no such figure
        trial(3, None, "a", status="planned"),
        trial(4, 0.9, "a", status="running"),  # what it has reached so far does not count
    ]
    b = [trial(s, 0.25, "b") for s in range(4)] + [trial(4, None, "b", status="planned")]
    found = paired(tmp_path, a + b, claim())
    assert found.strata[0].differences == {0: 0.25}
    assert counts(found) == (5, 0, 0)
    assert found.strata[0].gaps == (
        Gap(1, "a", "diverged"),
        Gap(2, "a", NO_FIGURE),
        Gap(3, "a", "planned"),
        Gap(4, "a", "running"),
        Gap(4, "b", "planned"),
    )


def test_infinite_is_missing(tmp_path: Path) -> None:
    trials = [trial(0, math.inf, "a"), trial(0, 0.5, "b")]
    assert counts(paired(tmp_path, trials, claim())) == (1, 0, 0)


def test_unpaired_arms_and_seeds_are_counted(tmp_path: Path) -> None:
    a = [trial(0, 0.5, "a", "x"), trial(1, 0.5, "a", "x"), trial(0, 0.5, "a", "y")]
    b = [trial(0, 0.25, "b", "x")]
    found = paired(tmp_path, a + b, claim())
    assert list(found.by_seed) == [0.25]
    assert [(stratum.axes["augment"], stratum.unpaired) for stratum in found.strata] == [
        ("x", 1),
        ("y", 1),
    ]


def test_runs_without_a_seed_make_one_pair(tmp_path: Path) -> None:
    """However many strata they are in; an arm without its counterpart makes none."""
    logged = [
        trial(None, dice, *labels, source="elsewhere")
        for dice, labels in ((0.5, "ax"), (0.25, "bx"), (0.75, "ay"), (0.25, "by"), (0.9, "bz"))
    ]
    found = paired(tmp_path, logged, claim())
    assert (list(found.by_seed), found.unit, found.source) == ([0.375], "run", "elsewhere")
    assert counts(found) == (0, 1, 0)
    assert [stratum.axes["augment"] for stratum in found.strata] == ["x", "y", "z"]
    assert {stratum.axes["source"] for stratum in found.strata} == {"elsewhere"}


def test_sources_do_not_mix(tmp_path: Path) -> None:
    """Ours are tested; others' seeds are no further seeds, nor an average with ours."""
    own = [trial(0, 0.5, "a"), trial(0, 0.25, "b"), trial(1, 0.5, "a")]
    theirs = [
        trial(seed, dice, model, source="x", arm=f"x {model}")
        for model, dice in (("a", 0.9), ("b", 0.4))
        for seed in (0, 1)
    ]
    write_experiment(tmp_path, "exp", own)
    for each in theirs:
        write_trial(tmp_path, "exp", each)
    found = pairs_of(load(Store(tmp_path), "exp"), claim())
    by_source = {stratum.axes["source"]: stratum.differences for stratum in found.strata}
    assert by_source == {"bench": {0: 0.25}, "x": pytest.approx({0: 0.5, 1: 0.5})}
    assert (list(found.by_seed), found.source, counts(found)) == ([0.25], "bench", (0, 1, 0))


def test_where_none_is_ours_the_source_with_most_pairs_is_tested(tmp_path: Path) -> None:
    logged = [
        trial(seed, dice, model, source=source)
        for source, seeds in (("x", [None]), ("y", [0, 1, 2]))
        for seed in seeds
        for model, dice in (("a", 0.9), ("b", 0.4))
    ]
    write_experiment(tmp_path, "exp", [])
    for each in logged:
        write_trial(tmp_path, "exp", each)
    found = pairs_of(load(Store(tmp_path), "exp"), claim())
    assert (found.source, found.unit, len(found.by_seed)) == ("y", "seed", 3)


def test_what_varies_along_is_no_stratum(tmp_path: Path) -> None:
    trials = [trial(s, 0.5, "a", "20") for s in (0, 1)] + [trial(s, 0.4, "b", "60") for s in (0, 1)]
    found = paired(tmp_path, trials, claim())
    assert found.along == {"augment": ("20", "60")}
    assert len(found.by_seed) == 2


def test_against_a_number(tmp_path: Path) -> None:
    trials = [trial(0, 0.5, "a"), trial(1, 0.75, "a"), trial(2, None, "a"), trial(0, 9.0, "b")]
    found = paired(tmp_path, trials, claim(b=0.25))
    assert found.strata[0].differences == {0: 0.25, 1: 0.5}
    assert counts(found) == (1, 0, 0)


def test_difference_of_two_figures(tmp_path: Path) -> None:
    trials = [trial(0, 0.75, "a", summary={"final_val_dice": 0.5})]
    found = paired(tmp_path, trials, claim("final_val_dice - best_val_dice", b=0))
    assert found.strata[0].differences == {0: -0.25}


def test_curve_at_an_epoch(tmp_path: Path) -> None:
    def curve(*losses: float) -> list[dict[str, float]]:
        return [{"epoch": e, "val/loss": loss} for e, loss in enumerate(losses, start=1)]

    trials = [
        trial(0, None, "a", history=curve(0.5, 0.25, 0.125)),
        trial(1, None, "a", history=curve(0.5)),  # stopped before
        *(trial(s, None, "b", history=curve(0.5, 0.75, 0.5)) for s in (0, 1)),
    ]
    found = paired(tmp_path, trials, claim("val/loss@2"))
    assert found.strata[0].differences == {0: -0.5}
    assert counts(found) == (1, 0, 0)


def test_a_column_that_nobody_recorded(tmp_path: Path) -> None:
    found = paired(tmp_path, [trial(0, 0.5, "a"), trial(0, 0.5, "b")], claim("test_iou"))
    assert counts(found) == (2, 0, 0)


def timed(seed: int, model: str, environment: dict[str, Any], **facts: Any) -> MadeTrial:
    known = {"epoch_seconds": 2.0, "peak_memory_mb": 5.0, "device": "cuda", "deterministic": False}
    return trial(seed, 0.5, model, summary=known | facts, environment=environment)


H100, H200 = ({"gpu": name, "trials_per_device": 1} for name in ("H100", "H200"))


@pytest.mark.parametrize(
    ("metric", "environment", "facts", "unlike"),
    [
        ("epoch_seconds", H100, {}, 0),
        ("epoch_seconds", H200, {}, 1),
        ("epoch_seconds", H100 | {"trials_per_device": 2}, {}, 1),
        ("epoch_seconds", H100, {"deterministic": True}, 1),
        ("epoch_seconds", {"cpu": "x", "threads": 1}, {"device": "cpu"}, 1),
        ("peak_memory_mb", H200, {}, 0),
        ("peak_memory_mb", H100, {"device": "cpu"}, 1),
        ("peak_memory_mb", H100, {"memory_kind": "resident"}, 1),
        ("best_val_dice", H200, {"device": "cpu", "deterministic": True}, 0),
    ],
)
def test_costs_are_compared_under_the_same_conditions(
    tmp_path: Path, metric: str, environment: dict[str, Any], facts: dict[str, Any], unlike: int
) -> None:
    trials = [timed(0, "a", H100), timed(0, "b", environment, **facts)]
    found = paired(tmp_path, trials, claim(metric))
    assert counts(found) == (0, 0, unlike)
    assert len(found.by_seed) == 1 - unlike
    expected = [Shortage({}, None, OTHER_CONDITIONS, (0,))] if unlike else []
    assert found.shortages == expected


def test_terms_may_differ_where_they_are_the_question(tmp_path: Path) -> None:
    trials = [timed(0, "a", H100, deterministic=flag) for flag in (True, False)]
    for made, label in zip(trials, ("true", "false"), strict=True):
        made.axes = {"train.deterministic": label}
    hypothesis = claim(
        "epoch_seconds", a={"train.deterministic": "true"}, b={"train.deterministic": "false"}
    )
    assert list(paired(tmp_path, trials, hypothesis).by_seed) == [0.0]
