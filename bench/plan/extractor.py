"""Whose features exactly the Fréchet distances of a plan are taken from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from bench.errors import BenchError, DataError, SpecError, StoreError, first_line
from bench.plan.earlier import Lookup, best_trial, matching
from bench.plan.expand import load_trial, refuse_foreign_code, targets_of
from bench.plan.plan import Plan
from bench.plan.resolving import path_in_spec, refuse_duplicates
from bench.plan.trial import Trial, canonical_json, digest
from bench.safe_files import open_plain
from bench.spec.document import Document
from bench.spec.yaml12 import KeyPath
from bench.tasks.frechet_settings import EarlierClassifier, FrechetSettings, ResolvedExtractor
from bench.tasks.settings import DiffusionSettings

FindCheckpoint = Callable[[str], Path]
"""A finished trial's best checkpoint, by the trial's folder or id; a BenchError without one."""

CheckExtractor = Callable[[FrechetSettings], None]
"""A BenchError where the settled extractor does not give features."""

Resolved = dict[str, str | ResolvedExtractor | None]
"""The settings of the Fréchet distance that settling changes."""

SETTING: KeyPath = ("task", "frechet")


def resolve_extractors(
    plan: Plan,
    lookup: Lookup,
    finished: FindCheckpoint,
    check: CheckExtractor,
    *,
    trust_code: bool = False,
) -> Plan:
    """The plan with `task.frechet` of every trial settled: whose features exactly.

    A classifier whose model is code of somebody's own (`target:`) is built where the plan's spec
    names the same code, or with `trust_code`.

    Raises:
        SpecError: an extractor that there is not or that is none, or arms that have become equal
            by theirs; names the line.
    """
    known = None if trust_code else targets_of(plan.spec)
    resolver = _ExtractorResolver(plan.spec.document, lookup, finished, check, known)
    trials = tuple(resolver.resolved(trial) for trial in plan.trials)
    refuse_duplicates(
        plan.spec.document,
        plan.trials,
        trials,
        lambda trial: _location(plan.spec.document, trial.settings.task.frechet),
        "take the Fréchet distance's features from the same network",
    )
    further = tuple(resolver.resolved(trial) for trial in plan.further)
    return replace(plan, trials=trials, further=further)


def classifier_of(checkpoint: Path) -> Trial:
    """The trial that has trained the classifier in this file.

    Raises:
        DataError: there is none, its configuration is of another version or was changed, or it
            learnt something else.
    """
    path = checkpoint.with_name("config.yaml")
    try:
        with open_plain(path) as file:
            text = file.read().decode()
    except StoreError as error:
        raise DataError(str(error)) from error
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    try:
        trial = load_trial(YAML(typ="safe", pure=True).load(text))
    except StoreError as error:
        raise DataError(f"{error}: restore {path}, or name another trial") from error
    except (ValueError, AttributeError, YAMLError) as error:
        raise _unreadable(path, error) from error
    learnt = trial.settings.task.name
    if learnt != "classification":
        name = f"{trial.experiment}/{trial.id}"
        raise DataError(f"{name} was trained for {learnt}, not classification: name a classifier")
    return trial


def _unreadable(path: Path, error: Exception) -> DataError:
    reason = f"cannot be read ({first_line(error)})"
    return DataError(f"{path} {reason}: restore it, or name another trial")


class _ExtractorResolver:
    """Settles the extractor of one trial after the other; each is looked up and tried once."""

    def __init__(
        self,
        document: Document,
        lookup: Lookup,
        finished: FindCheckpoint,
        check: CheckExtractor,
        known: frozenset[str] | None,
    ) -> None:
        """`known` are the targets that may be built; None: any."""
        self._document, self._known_code = document, known
        self._lookup, self._finished, self._check = lookup, finished, check
        self._known: dict[str, Resolved] = {}

    def resolved(self, trial: Trial) -> Trial:
        task = trial.settings.task
        if not isinstance(task, DiffusionSettings) or task.frechet is None:
            return trial
        wanted = task.frechet
        key = canonical_json({**wanted.identity(), "samples": None})
        try:
            if key not in self._known:
                self._known[key] = self._resolve(wanted)
                self._check(wanted.model_copy(update=self._known[key]))
        except BenchError as error:
            raise self._document.error(_location(self._document, wanted), str(error)) from error
        frechet = wanted.model_copy(update=self._known[key])
        changed = task.model_copy(update={"frechet": frechet})
        settings = trial.settings.model_copy(update={"task": changed})
        return replace(trial, settings=settings)

    def _resolve(self, wanted: FrechetSettings) -> Resolved:
        if wanted.resolved is not None:
            raise SpecError("`source` is set by planning: name a classifier, or inception")
        from bench.tasks.frechet import inception_file, resolve_inception

        # `auto`: Inception where its weights are, which makes distances comparable with others'
        has_inception = wanted.extractor == "auto" and inception_file().is_file()
        if wanted.classifier is None or has_inception:
            return {"extractor": resolve_inception(), "classifier": None}
        if isinstance(wanted.classifier, EarlierClassifier):
            earlier = self._lookup(wanted.classifier.experiment)
            checkpoint = best_trial(earlier, matching(earlier, wanted.classifier.where)).checkpoint
        else:
            checkpoint = self._finished(str(wanted.classifier))
        if self._known_code is not None:
            model = classifier_of(checkpoint).settings.model
            refuse_foreign_code(str(checkpoint.parent), model, self._known_code)
        return {"extractor": "classifier", "classifier": _resolve_classifier(checkpoint)}


def _resolve_classifier(checkpoint: Path) -> ResolvedExtractor:
    from bench.tasks.frechet import file_sha256

    trial = classifier_of(checkpoint)
    return ResolvedExtractor(
        source="classifier",
        exactly=digest(trial.identity),
        sha256=file_sha256(checkpoint),
        name=f"classifier {trial.experiment}/{trial.id}",
        file=str(checkpoint),
    )


def _location(document: Document, frechet: FrechetSettings) -> KeyPath:
    """Where in the spec the extractor is named, or else the distance asked for."""
    if frechet.classifier is not None:
        return path_in_spec(document, (*SETTING, "classifier"), frechet.classifier)
    if "extractor" in frechet.model_fields_set:
        return path_in_spec(document, (*SETTING, "extractor"), frechet.extractor)
    return path_in_spec(document, SETTING, frechet)
