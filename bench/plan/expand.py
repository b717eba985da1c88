"""From a spec to its plan, and between a trial and its record."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from bench.errors import SpecError, StoreError
from bench.plan.arms import MAX_TRIALS, axis_values, labels_in_use, make_arms, refuse_multiple_tasks
from bench.plan.axes import Axis
from bench.plan.design import CONFIGURATION, Design, DesignKind
from bench.plan.design_spec import design_of, same_configuration
from bench.plan.folds import folds_of_arms
from bench.plan.hypotheses import checked_hypotheses
from bench.plan.plan import Plan
from bench.plan.refuse_unused import refuse_unused_settings
from bench.plan.repeats import with_repeats
from bench.plan.scoring import refuse_mixed_scoring
from bench.plan.trial import Trial
from bench.registry import Custom, load_target
from bench.settings import Settings
from bench.spec.load import Spec
from bench.spec.schema import TrialSettings
from bench.spec.yaml12 import KeyPath


def make_plan(spec: Spec) -> Plan:
    """The plan of a spec: its arms × its seeds (× its folds), every arm's settings checked.

    Raises:
        SpecError: anything that cannot be planned, with the file, line and key that is to blame.
    """
    if spec.sweep.search is not None:
        message = "is for `bench search`: a search has no plan, it decides as it goes"
        raise spec.document.error(("search",), message)
    axes, arms = make_arms(spec)
    refuse_multiple_tasks(spec, axes.values())
    checked = [(arm, spec.settings(axis_values(axes, arm))) for arm in arms]
    refuse_unused_settings(spec, axes, checked)
    refuse_mixed_scoring(spec, axes, [settings for _, settings in checked])
    folds = folds_of_arms(spec, [settings for _, settings in checked])
    seeds = spec.sweep.first_seeds, spec.sweep.further_seeds
    if (count := len(checked) * sum(map(len, seeds)) * len(folds)) > MAX_TRIALS:
        message = f"makes {count} trials of {len(checked)} arms; at most {MAX_TRIALS}"
        raise spec.document.error(("data", "folds"), message)
    design = design_of(axes)
    varied = () if design is None else design.varied
    first, later = (
        tuple(
            Trial(spec.experiment, seed, arm, settings, fold=fold, varied=varied)
            for seed in each  # first: interrupted, all arms have about as many seeds
            for fold in folds
            for arm, settings in checked
        )
        for each in seeds
    )
    _refuse_duplicate_arms(spec, axes, first[: len(arms)])
    trials, off_the_path = _planned(design, first)
    planned = [arm for arm in arms if design is None or _is_planned(design, arm)]
    further = (*off_the_path, *later)
    plan = Plan(spec, labels_in_use(axes, planned), trials, further=further, design=design)
    return with_repeats(replace(plan, hypotheses=checked_hypotheses(plan)))


def _planned(
    design: Design | None, trials: tuple[Trial, ...]
) -> tuple[tuple[Trial, ...], tuple[Trial, ...]]:
    """Those that are trained in any case, and those that a path may come by."""
    if design is None or design.kind is not DesignKind.PATH:
        return trials, ()
    first = [_is_planned(design, trial.axes) for trial in trials]
    both = list(zip(trials, first, strict=True))
    return tuple(t for t, now in both if now), tuple(t for t, now in both if not now)


def _is_planned(design: Design, labels: Mapping[str, str]) -> bool:
    """Whether an arm is trained in any case: of a path, those of its first round."""
    return design.kind is not DesignKind.PATH or labels[CONFIGURATION] in design.first_round


def _refuse_duplicate_arms(spec: Spec, axes: dict[str, Axis], trials: tuple[Trial, ...]) -> None:
    """No two arms may have the same settings: they would be one trial under two names."""
    first: dict[str, Trial] = {}
    for trial in trials:
        duplicate = first.setdefault(trial.arm_sha256, trial)
        if duplicate is not trial:
            axis = next(axis for axis in axes if trial.axes[axis] != duplicate.axes[axis])
            both = f"the arms ({_text(duplicate.axes)}) and ({_text(trial.axes)})"
            message = f"{both} have the same settings; remove one"
            if trial.settings != duplicate.settings:
                message = (
                    f"{both} differ only in where data lies or what runs them, which is no part "
                    "of what a trial is: both would be one trial; make an experiment of each "
                    "(experiment=NAME), and `bench report A B --together NAME` compares them"
                )
            if axis == CONFIGURATION:
                message = same_configuration(axes, duplicate.axes[axis], trial.axes[axis])
            raise spec.document.error(axes[axis].levels[trial.axes[axis]].where, message)


def _text(arm: Mapping[str, str]) -> str:
    return ", ".join(f"{axis}: {label}" for axis, label in arm.items())


def trial_config(trial: Trial) -> dict[str, Any]:
    """The content of config.yaml, from which `load_trial` makes the trial again."""
    return {
        "id": trial.id,
        "experiment": trial.experiment,
        "seed": trial.seed,
        **({} if trial.fold is None else {"fold": trial.fold}),
        "axes": dict(trial.axes),
        "common": trial.common,
        "arm": trial.arm,
        **({"varied": list(trial.varied)} if trial.varied else {}),
        "settings": trial.settings.model_dump(mode="json"),
    }


def load_trial(config: Mapping[str, Any]) -> Trial:
    """The trial that `trial_config` described.

    Raises:
        StoreError: settings that this version does not know, or that do not belong to the id.
    """
    name = config.get("id", "without an id")
    try:
        settings = TrialSettings.model_validate(config["settings"])
        trial = Trial(
            config["experiment"],
            config["seed"],
            config["axes"],
            settings,
            fold=config.get("fold"),
            varied=tuple(config.get("varied", ())),
        )
        made = trial.id
        if made != name:
            earlier = replace(trial, revised=False)
            trial, made = (earlier, name) if earlier.id == name else (trial, made)
    except (ValidationError, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise StoreError(f"the configuration of trial {name} cannot be used: {reason}") from error
    if made != name:
        raise StoreError(
            f"the configuration of trial {name} was changed, or written by another version of "
            f"bench: its settings now make trial {made}"
        )
    return trial


def refuse_foreign_code(name: str, settings: Settings, known: Collection[str] = ()) -> None:
    """Refuse recorded settings that name code of which the user's own spec says nothing.

    A results folder may be somebody else's, and building a `target:` runs what it names.

    Args:
        name: of the trial that they are recorded of.
        settings: what is to be built.
        known: the targets that the user has named in a spec of their own.

    Raises:
        StoreError: names the first such target, and what to do.
    """
    for target in targets_in(settings):
        if target not in known:
            raise StoreError(
                f"{name}: is built by {target}, which its config.yaml names: if you know this code "
                "and trust it, say --trust-code (in Python: trust_code=True)"
            )


def targets_of(spec: Spec) -> frozenset[str]:
    """Every `target:` that a spec names."""
    return frozenset(target for _, target in _written_targets(spec.document.tree, ()))


def check_targets(plan: Plan) -> None:
    """Import every `target:` that the plan uses. Apart from `make_plan`: it may import torch.

    Raises:
        SpecError: one cannot be imported or is not callable; names its line.
    """
    arms = {id(trial.settings): trial.settings for trial in plan.trials}  # shared by all seeds
    used = {target for settings in arms.values() for target in targets_in(settings)}
    document = plan.spec.document
    for path, target in _written_targets(document.tree, ()):
        if target in used:
            try:
                load_target(target)
            except SpecError as error:
                raise document.error(path, error.message) from error


def targets_in(value: Any) -> Iterator[str]:
    """Every `target` in settings, however deep, also in the arguments of another one."""
    if isinstance(value, Custom):
        yield value.target
    if isinstance(value, Settings):
        for _name, item in value:
            yield from targets_in(item)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from targets_in(item)
    elif isinstance(value, dict):
        if isinstance(value.get("target"), str):
            yield value["target"]
        for item in value.values():
            yield from targets_in(item)


def _written_targets(tree: Any, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    """Every `target: …` in a spec, and where."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in items:
        if key == "target" and isinstance(value, str):
            yield (*path, key), value
        elif isinstance(value, dict | list):
            yield from _written_targets(value, (*path, key))
