"""A spec's hypotheses against its plan: are there such arms, labels and metrics."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.errors import SpecError, did_you_mean
from bench.metric_columns import (
    FIGURES,
    LAST_EPOCHS,
    MetricColumn,
    MetricKind,
    cross_val,
    curve_metric,
    final_val,
    on_test,
    val_curve,
)
from bench.plan.axes import canonical_label, format_label
from bench.plan.component_hypotheses import component_hypotheses
from bench.plan.design import CONFIGURATION, Design, DesignKind
from bench.plan.folds import NO_AXIS, names_folds
from bench.plan.plan import Plan
from bench.plan.sides import Sides, sides
from bench.plan.trial import Trial
from bench.spec.hypotheses import Hypothesis, MetricTerm, Over, columns, figures
from bench.spec.messages import format_value
from bench.spec.yaml12 import KeyPath
from bench.texts import fault_of

LONGEST_CLAIM = 1000  # characters: a paragraph
_OF_THE_LOSS = frozenset({"overfit_gap", "final_train_loss", "train/loss"})


def checked_hypotheses(plan: Plan) -> tuple[Hypothesis, ...]:
    """The spec's hypotheses with labels as the plan spells them.

    Raises:
        SpecError: one that cannot be tested on the plan's arms; names its line and key.
    """
    found = plan.spec.sweep.hypotheses
    _refuse_repeats(plan, found)
    arms = _arms(plan)
    declared = tuple(_checked(plan, arms, i, hypothesis) for i, hypothesis in enumerate(found))
    return declared + _of_components(plan, arms, declared)


def _of_components(
    plan: Plan, arms: Sequence[Trial], declared: Sequence[Hypothesis]
) -> tuple[Hypothesis, ...]:
    """A design's, but for what a declared hypothesis compares already.

    None of a component that changes what the figure is a measure of, of which the plan warns.
    """
    design = plan.design
    if design is None:
        return ()
    if design.kind is DesignKind.PATH:
        _check_choice(plan)
    metric = design.metric or default_metric(plan)
    labels = [trial.axes for trial in arms]
    compared = {_compared(one, sides(one, labels, design)) for one in declared}
    found = []
    unlike: list[tuple[Hypothesis, Sides]] = []
    at: KeyPath = ("design", "metric")
    for made in component_hypotheses(design, metric, plan.select.mode, [h.id for h in declared]):
        apart = sides(made, labels, design)
        if not apart.a or not apart.b or _compared(made, apart) in compared:
            continue
        if any(_unlike_axes(plan, figure, made, apart) for figure in _underlying(made)):
            unlike.append((made, apart))
            continue
        for figure in figures(metric):
            _check_figure(plan, at, figure, [arms[i] for i in (*apart.a, *apart.b)])
        found.append(made.model_copy(update={"over": _over(plan, at, made)}))
    if design.metric is not None and not found and unlike:
        _check_comparable(plan, at, *unlike[0])
    return tuple(found)


def _check_choice(plan: Plan) -> None:
    """A path chooses by a validation score that all its configurations share."""
    metric, design = curve_metric(plan.select.metric), plan.design
    if design is not None and CONFIGURATION in plan.incomparable.get(metric, ()):
        message = (
            f"the path would choose by {plan.select.metric}, which is not comparable across the "
            f"levels of {', '.join(design.losses) or CONFIGURATION}; select another metric, or "
            "leave that component out"
        )
        raise _error(plan, ("design", "path"), message)


def _compared(hypothesis: Hypothesis, found: Sides) -> tuple[str, frozenset[tuple[int, ...]]]:
    """What two hypotheses that test the same have in common, either way round."""
    return hypothesis.metric, frozenset({found.a, found.b})


def _refuse_repeats(plan: Plan, found: Sequence[Hypothesis]) -> None:
    ids = [hypothesis.id for hypothesis in found]
    for i, name in enumerate(ids):
        if name in ids[:i]:
            message = f"{name!r} appears twice; rename one"
            raise plan.spec.document.error(("hypotheses", i, "id"), message)


def _arms(plan: Plan) -> list[Trial]:
    """One trial of each arm: those of the first seed, and its first fold."""
    first = plan.trials[0]
    return [t for t in plan.trials if (t.seed, t.fold) == (first.seed, first.fold)]


def _checked(plan: Plan, arms: Sequence[Trial], index: int, given: Hypothesis) -> Hypothesis:
    at: KeyPath = ("hypotheses", index)
    given = given.model_copy(update={"metric": given.metric or default_metric(plan)})
    b = given.b if isinstance(given.b, float | int) else _labels(plan, (*at, "b"), given.b)
    a, claim = _labels(plan, (*at, "a"), given.a), _claim(plan, (*at, "claim"), given.claim)
    hypothesis = given.model_copy(update={"claim": claim, "a": a, "b": b})
    found = sides(hypothesis, [trial.axes for trial in arms], plan.design)
    if not found.a:
        raise _no_arm(plan, (*at, "a"), hypothesis.a)
    if isinstance(b, dict):
        _check_sides(plan, arms, at, hypothesis, b, found)
    concerned = [arms[i] for i in (*found.a, *found.b)]
    for figure in figures(given.metric):
        _check_figure(plan, (*at, "metric"), figure, concerned)
    _check_comparable(plan, (*at, "metric"), hypothesis, found)
    return hypothesis.model_copy(update={"over": _over(plan, (*at, "over"), hypothesis)})


def default_metric(plan: Plan) -> str:
    """The selected metric on the test split, which chose nothing; without one, on other images."""
    return _chosen_elsewhere(curve_metric(plan.select.metric), plan.trials)


def _chosen_elsewhere(metric: str, arms: Sequence[Trial]) -> str:
    """The figure of a metric whose epoch was not chosen on the images that it is scored on."""
    if not _without_test_split(arms):
        return on_test(metric)
    return final_val(metric) if _scored_by_split(arms) else cross_val(metric)


def _without_test_split(arms: Sequence[Trial]) -> bool:
    """Whether folds share out all images."""
    return any((folds := trial.settings.data.folds) and folds.of == "all" for trial in arms)


def _scored_by_split(arms: Sequence[Trial]) -> bool:
    """Whether single images have no scores."""
    return any(getattr(trial.settings.task, "average", None) == "split" for trial in arms)


def _over(plan: Plan, at: KeyPath, given: Hypothesis) -> Over | None:
    """What its verdict generalises over: as it says, else as all do, where its figure can."""
    can = all(_is_of_images(figure) for figure in figures(given.metric))
    if given.over not in (None, "seeds") and not can:
        message = (
            f"images have no scores of {given.metric}: use over: seeds, or a figure that is a mean "
            f"over images, such as {default_metric(plan)}"
        )
        raise _error(plan, at, message)
    default = plan.spec.sweep.statistics.over
    return given.over or (default if can or default == "seeds" else None)


def _is_of_images(figure: MetricTerm) -> bool:
    """Whether a figure can be a mean over images."""
    column = MetricColumn.parse(figure.column)
    return column is not None and column.kind in (MetricKind.CURVE, *FIGURES)


def _claim(plan: Plan, at: KeyPath, given: str) -> str:
    """The claim on one line: YAML's blocks (`|`, `>`) have line ends."""
    claim = re.sub(r"[ \t\r\n]+", " ", given).strip(" ")
    if fault := fault_of(claim, LONGEST_CLAIM):
        raise _error(plan, at, fault)
    return claim


def _names(plan: Plan) -> Mapping[str, tuple[str, ...]]:
    """What a hypothesis can name: the axes and, of a design, its components, with their labels."""
    return {**plan.axes, **(plan.design.levels if plan.design else {})}


def _labels(plan: Plan, at: KeyPath, given: Mapping[str, Any]) -> dict[str, str]:
    """The labels as the plan spells them; each axis and label must be there."""
    found = {}
    for axis, value in given.items():
        where = (*at, axis)
        names = _names(plan)
        if axis not in names:
            if names_folds(axis):
                raise _error(plan, where, NO_AXIS)
            raise _error(plan, where, f"unknown axis {axis!r}{did_you_mean(axis, names)}")
        if isinstance(value, dict | list):
            raise _error(plan, where, f"must be a label, not {format_value(value)}")
        known = names[axis]
        spellings = (format_label(value), canonical_label(str(value)))
        label = next((text for text in spellings if text in known), None)
        if label is None:
            message = (
                f"unknown level {format_label(value)!r}{did_you_mean(format_label(value), known)}"
            )
            raise _error(plan, where, message)
        found[axis] = label
    return found


def _check_sides(
    plan: Plan,
    arms: Sequence[Trial],
    at: KeyPath,
    hypothesis: Hypothesis,
    b: Mapping[str, str],
    found: Sides,
) -> None:
    """The same axes on both sides, arms on both, not the same ones, and some that pair."""
    for here, there, name in ((b, hypothesis.a, "b"), (hypothesis.a, b, "a")):
        if missing := [axis for axis in there if axis not in here]:
            message = f"names no level of {', '.join(missing)}; name the same axes in a and b"
            raise _error(plan, (*at, name), message)
    if b == hypothesis.a:
        raise _error(plan, (*at, "b"), "names the same arms as a")
    if not found.b:
        raise _no_arm(plan, (*at, "b"), b)

    def keys(side: Sequence[int]) -> set[tuple[str, ...]]:
        return {
            (*(arms[i].axes[axis] for axis in found.strata), found.partners.get(i, ""))
            for i in side
        }

    if not keys(found.a) & keys(found.b):
        message = (
            f"no arm of a has the same {', '.join(found.strata)} as an arm of b, so that none can "
            "be paired; name an axis more on both sides"
        )
        raise _error(plan, at, message)


def _check_figure(plan: Plan, at: KeyPath, figure: MetricTerm, arms: Sequence[Trial]) -> None:
    """The figure is one that these arms' trials have."""
    curves = [*(val_curve(metric) for metric in plan.metrics), "train/loss"]
    name, epoch = figure
    if epoch is None and name in curves:
        instead = curve_metric(name) if name.startswith(MetricKind.CURVE) else ""
        also = f", or name best_val_{instead} or final_val_{instead}" if instead else ""
        raise _error(plan, at, f"{name} is a curve: say at which epoch ({name}@10){also}")
    if epoch is None:
        known = columns(plan.metrics, curve_metric(plan.select.metric), _closing(arms))
        if name not in known:
            raise _error(plan, at, f"unknown metric {name!r}{did_you_mean(name, known)}")
        _check_epochs(plan, at, name, arms)
        return
    if name not in curves:
        raise _error(plan, at, f"unknown curve {name!r}{did_you_mean(name, curves)}")
    at_end = arms[0].settings.task.end_metrics()
    if name.startswith(tuple(map(val_curve, at_end))):
        instead = f"name {MetricKind.BEST.column(curve_metric(name))}, or give it when: epoch"
        raise _error(plan, at, f"{name} is computed at the end only (task.metrics): {instead}")
    epochs = _fewest_epochs(arms)
    if epoch > epochs:
        raise _error(plan, at, f"there is no epoch {epoch} where train.epochs is {epochs}")


def _check_epochs(plan: Plan, at: KeyPath, name: str, arms: Sequence[Trial]) -> None:
    """A figure that is made of several epochs', or of the test split, can be had."""
    column = MetricColumn.parse(name)
    if column is None:
        return
    if column.kind is MetricKind.LAST_TEN and _fewest_epochs(arms) < LAST_EPOCHS:
        message = f"is the mean of {LAST_EPOCHS} epochs, and train.epochs is {_fewest_epochs(arms)}"
        raise _error(plan, at, f"{name} {message}; take {final_val(column.metric)}")
    if column.kind is MetricKind.CROSS_FITTED and _scored_by_split(arms):
        message = "needs a score of every image, which task.average: split does not have"
        instead = _chosen_elsewhere(column.metric, arms)
        raise _error(plan, at, f"{name} {message}; take {instead}")
    if column.kind is MetricKind.TEST and _without_test_split(arms):
        selected = column.metric == curve_metric(plan.select.metric)
        instead = _chosen_elsewhere(column.metric, arms) if selected else final_val(column.metric)
        message = "needs a test split, and data.folds.of: all shares out its images"
        raise _error(plan, at, f"{name} {message}; take {instead}, or of: trainval")


def _fewest_epochs(arms: Sequence[Trial]) -> int:
    return min(trial.settings.train.epochs for trial in arms)


def _closing(arms: Sequence[Trial]) -> list[str]:
    """What these arms' task finds out of the best model alone."""
    asked = all(getattr(trial.settings.task, "frechet", None) is not None for trial in arms)
    return ["frechet"] if asked else []


def _check_comparable(plan: Plan, at: KeyPath, hypothesis: Hypothesis, found: Sides) -> None:
    """What is compared means the same on both sides."""
    if not isinstance(hypothesis.b, dict):
        return
    for metric in _underlying(hypothesis):
        if axes := _unlike_axes(plan, metric, hypothesis, found):
            instead = [name for name in plan.metrics if name not in plan.incomparable]
            hint = f"; take another, such as best_val_{instead[0]}" if instead else ""
            message = f"is not comparable across the levels of {', '.join(axes)}{hint}"
            raise _error(plan, at, message)


def _unlike_axes(plan: Plan, metric: str, hypothesis: Hypothesis, found: Sides) -> list[str]:
    """The axes and components in which its sides differ and that change what a metric measures."""
    assert isinstance(hypothesis.b, dict)
    sides = {axis: (label, hypothesis.b[axis]) for axis, label in hypothesis.a.items()}
    differing = {axis for axis, (a, b) in {**sides, **found.along}.items() if a != b}
    axes = plan.incomparable.get(metric, ())
    unlike = [axis for axis in axes if axis in differing and axis != CONFIGURATION]
    if CONFIGURATION not in axes or plan.design is None:
        return unlike
    design = plan.design
    if CONFIGURATION in differing:
        a, b = {**sides, **found.along}[CONFIGURATION]
        return unlike + [c for c, of in _losses(design, a, b).items() if of[0] != of[1]]
    return unlike + [
        name
        for name, by_level in design.losses.items()
        if name in differing and by_level[sides[name][0]] != by_level[sides[name][1]]
    ]


def _losses(design: Design, a: str, b: str) -> dict[str, tuple[str, str]]:
    """By component that changes the loss, what it is in two configurations."""
    levels = design.configurations[a], design.configurations[b]
    return {
        name: (by_level[levels[0][name]], by_level[levels[1][name]])
        for name, by_level in design.losses.items()
    }


def _underlying(hypothesis: Hypothesis) -> Iterator[str]:
    """The validation metrics behind the hypothesis's figures."""
    for figure in figures(hypothesis.metric):
        if figure.column in _OF_THE_LOSS:
            yield "loss"
        column = MetricColumn.parse(figure.column)
        if column and column.kind in (MetricKind.CURVE, *FIGURES):
            yield column.metric


def _no_arm(plan: Plan, at: KeyPath, labels: Mapping[str, str]) -> SpecError:
    text = ", ".join(f"{axis}: {label}" for axis, label in labels.items())
    return _error(plan, at, f"there is no arm with {text}")


def _error(plan: Plan, at: KeyPath, message: str) -> SpecError:
    return plan.spec.document.error(at, message)
