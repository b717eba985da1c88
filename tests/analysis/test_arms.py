from __future__ import annotations

from bench.analysis.arms import arm_numbers, arms_of
from bench.analysis.load import load
from bench.record.store import Store
from bench.report.figures.arm_style import arm_color, arm_dashes, arm_marker
from tests.builders.records import MadeTrial, study, write_experiment, write_trial


def made(root, trials):
    write_experiment(root, "exp", trials)
    return load(Store(root), "exp")


def test_two_axes_model_by_colour_augment_by_style(tmp_path):
    arms = arms_of(made(tmp_path, study(seeds=1, epochs=1)))
    assert [a.label for a in arms] == [
        "unet · none", "unet · elastic", "unet · elastic_or_crop", "resnet34_unet · none",
        "resnet34_unet · elastic", "resnet34_unet · elastic_or_crop",
    ]  # fmt: skip
    by = {a.label: a for a in arms}
    for augment in ("none", "elastic", "elastic_or_crop"):
        one, two = by[f"unet · {augment}"], by[f"resnet34_unet · {augment}"]
        assert (arm_dashes(one), arm_marker(one)) == (arm_dashes(two), arm_marker(two))
        assert arm_color(one) != arm_color(two)
    assert len({(arm_color(a), arm_dashes(a), arm_marker(a)) for a in arms}) == 6
    assert len({arm_dashes(a) for a in arms}) == 3


def test_colours_do_not_depend_on_which_arms_have_results(tmp_path):
    trials = study(seeds=1, epochs=1)
    all_arms = {a.label: arm_color(a) for a in arms_of(made(tmp_path / "a", trials))}
    for trial in trials[:3]:
        trial.status = "planned"
    assert {a.label: arm_color(a) for a in arms_of(made(tmp_path / "b", trials))} == all_arms


def test_an_axis_with_one_level_is_not_in_the_label(tmp_path):
    trials = [MadeTrial(0, {"model": "unet", "augment": a}) for a in ("none", "elastic")]
    assert [a.label for a in arms_of(made(tmp_path, trials))] == ["none", "elastic"]


def test_one_arm_and_no_axis(tmp_path):
    arms = arms_of(made(tmp_path / "one", [MadeTrial(0, {"model": "unet"})]))
    assert [a.label for a in arms] == ["unet"]
    arms = arms_of(made(tmp_path / "no", [MadeTrial(0), MadeTrial(1)]))
    assert [a.label for a in arms] == ["exp"]


def test_equal_labels_of_other_sources_are_other_arms(tmp_path):
    for source in ("a paper", "bench"):
        trial = MadeTrial(0, {"model": "unet"}, source=source, arm=source)
        write_trial(tmp_path, "exp", trial)
    records = load(Store(tmp_path), "exp")
    arms = arms_of(records)
    assert [(a.label, a.source) for a in arms] == [("unet", "bench"), ("unet (a paper)", "a paper")]
    assert sorted(arm_numbers(records, arms)) == [0, 1]


def test_numbers_follow_the_rows(tmp_path):
    records = made(tmp_path, [MadeTrial(s, {"model": m}) for m in "ab" for s in (0, 1)])
    assert arm_numbers(records, arms_of(records)).tolist() == [0, 0, 1, 1]


def test_more_levels_than_colours_still_have_a_look(tmp_path):
    trials = [MadeTrial(0, {"model": f"m{i}", "augment": f"a{j}"}) for i in range(9)
              for j in range(12)]  # fmt: skip
    assert len(arms_of(made(tmp_path, trials))) == 108
