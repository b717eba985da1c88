"""What a spec asks for: axes, trials and hypotheses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from bench.data.fold_settings import FoldSettings
from bench.plan.comparable import incomparable, loss_warnings
from bench.plan.design import CONFIGURATION, Design, DesignKind
from bench.plan.scoring import scoring
from bench.plan.trial import Trial, digest
from bench.plan.weights_mismatch import mismatch_warnings
from bench.spec.hypotheses import Hypothesis
from bench.spec.load import Spec
from bench.spec.repeats import RepeatPlan
from bench.spec.schema import Machine, SelectSettings
from bench.tasks.settings import Mode


def claims_digest(record: Mapping[str, Any], *, with_design: bool = True) -> str:
    """Of what is to be tested, and how, in the form of plan.json: no change goes unnoticed.

    Earlier records have that `with_design=False`, of all but the design.
    """
    hypotheses = record.get("hypotheses", [])
    how = [record.get("repeats"), record.get("statistics")]
    how += [record.get("design")] if with_design else []
    while how and not how[-1]:
        how.pop()
    return digest([hypotheses, *how] if how else hypotheses)


@dataclass(frozen=True)
class Plan:
    """What a spec asks for.

    Attributes:
        spec: where it comes from.
        axes: the labels on each axis that occur, in the spec's order.
        trials: one per arm and seed, and with cross-validation one per fold of these. Seeds come
            first: every fold and arm of the first seed, then of the second, so that an interrupted
            experiment has tried all arms about equally often.
        hypotheses: the spec's, with labels as the plan spells them; of a design also those that
            test its components.
        further: trials that it may grow by, as far as they are known.
        design: of an ablation; None: every combination of the axes.
        repeats: how seeds are added until the hypotheses are settled; None: they are fixed.
    """

    spec: Spec
    axes: Mapping[str, tuple[str, ...]]
    trials: tuple[Trial, ...]
    hypotheses: tuple[Hypothesis, ...] = ()
    further: tuple[Trial, ...] = ()
    design: Design | None = None
    repeats: RepeatPlan | None = None

    def grown(self, trials: Iterable[Trial]) -> Plan:
        """With trials more, whose labels may be new."""
        new = tuple(trials)
        axes = {
            axis: tuple(dict.fromkeys([*labels, *(trial.axes[axis] for trial in new)]))
            for axis, labels in self.axes.items()
        }
        ids = {trial.id for trial in new}
        further = tuple(trial for trial in self.further if trial.id not in ids)
        return replace(self, axes=axes, trials=(*self.trials, *new), further=further)

    def repeating(self, repeats: RepeatPlan | None) -> Plan:
        """With other looks."""
        return replace(self, repeats=repeats)

    @property
    def most_trials(self) -> int:
        """How many there may be once it has grown; as many as there are where it does not."""
        if self.design is None or self.design.kind is not DesignKind.PATH:
            return len(self.trials) + len(self.further)
        known = {trial.axes[CONFIGURATION]: 0 for trial in (*self.trials, *self.further)}
        each = (len(self.trials) + len(self.further)) // len(known)  # of a configuration
        return each * self.design.most_configurations

    @property
    def experiment(self) -> str:
        """The experiment's name."""
        return self.spec.experiment

    @property
    def select(self) -> SelectSettings:
        """What chooses the best epoch; no axis can change it."""
        return self.trials[0].settings.select

    @property
    def machine(self) -> Machine:
        """Where the trials run; no axis can change it."""
        return self.trials[0].settings.machine

    @cached_property
    def metrics(self) -> dict[str, Mode]:
        """The validation metrics of the trials (`dice`, not `val/dice`) and their directions."""
        found: dict[str, Mode] = {}
        for trial in self.trials:
            found |= trial.settings.metrics
        return found

    @cached_property
    def incomparable(self) -> dict[str, tuple[str, ...]]:
        """Metrics that do not measure the same in all arms, and the axes that make it so."""
        return incomparable(self.metrics, self.trials)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to know before comparing the arms, a sentence each."""
        several = [axis for axis, labels in self.axes.items() if len(labels) > 1]
        return loss_warnings(
            self.incomparable, self.metrics, several, self.design
        ) + mismatch_warnings(self.trials)

    def record(self) -> dict[str, Any]:
        """The content of plan.json, without the time."""
        hypotheses = [hypothesis.record() for hypothesis in self.hypotheses]
        over = self.spec.sweep.statistics.over
        tested = {
            "hypotheses": hypotheses,
            **({} if self.repeats is None else {"repeats": self.repeats.record()}),
            **({"statistics": {"over": over}} if over else {}),
            **({} if self.design is None else {"design": self.design.record()}),
        }
        return {
            "experiment": self.experiment,
            "task": self.trials[0].settings.task.name,
            "spec": self.spec.document.text(),
            "source": self.spec.document.source,
            "common": self.trials[0].common,
            "axes": {axis: list(labels) for axis, labels in self.axes.items()},
            "select": self.select.model_dump(),
            "metrics": self.metrics,
            "scoring": scoring(self.trials[0].settings),
            **tested,
            "hypotheses_digest": claims_digest(tested),
            "incomparable": {metric: list(axes) for metric, axes in self.incomparable.items()},
            "cautions": list(mismatch_warnings(self.trials)),
            **_folds(self.trials[0].settings.data.folds),
            "trials": [
                {
                    "id": trial.id,
                    "seed": trial.seed,
                    **({} if trial.fold is None else {"fold": trial.fold}),
                    "axes": dict(trial.axes),
                    "common": trial.common,
                    "arm": trial.arm,
                }
                for trial in self.trials
            ],
        }


def _folds(settings: FoldSettings | None) -> dict[str, Any]:
    """What plan.json says of cross-validation: nothing where there is none."""
    return {} if settings is None else {"folds": settings.model_dump(mode="json")}
