"""What a spec can say. Everything here works without importing torch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal, cast

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)

from bench.augment.settings import AugmentSettings
from bench.data.settings import DATASETS, CustomData, DataSettings
from bench.errors import did_you_mean
from bench.metric_columns import curve_metric, val_curve
from bench.models.settings import MODELS
from bench.registry import Custom, part_type
from bench.settings import Settings, machine_local
from bench.spec.augmentation import check_augmentation
from bench.spec.design import DesignSettings
from bench.spec.hypotheses import Hypothesis, StatisticsSettings
from bench.spec.jsonschema import spec_schema
from bench.spec.repeats import MAX_SEEDS, RepeatSettings, Seeds
from bench.spec.resources import ClusterResources
from bench.spec.revisions import with_revisions
from bench.spec.search import SearchSettings
from bench.spec.train_settings import FreezeUpTo, TrainSettings, error_at
from bench.tasks.custom_settings import CustomTask
from bench.tasks.settings import TASKS, Mode, TaskSettings, scored_classes

_BETTER: dict[Mode, str] = {"max": "higher: use max", "min": "lower: use min"}

Mistake = Literal["eval_mode_leak", "unpaired_masks", "grad_in_validation"]

AXIS_ROOTS = ("task", "data", "model", "augment", "train", "mistakes")
"""The sections that axes may vary, of `task` all but which task it is: an experiment has one."""

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
RESERVED_NAMES = ("mlartifacts", "mlruns", "mlflow.db", "optuna.db", "optuna.journal")
"""Names under results/ that are no experiment's."""
_PORTS = tuple(f"{port}{number}" for port in ("com", "lpt") for number in range(10))
WINDOWS_DEVICE_NAMES = ("con", "prn", "aux", "nul", *_PORTS)
"""Names that are no folder's on Windows, whatever follows their first dot."""


class SelectSettings(Settings):
    """Which epoch's checkpoint is the best."""

    metric: str = Field(description="a validation metric of the task; default: its main one")
    mode: Mode = Field(description="min or max: the metric's own direction, and the default")


class Machine(Settings):
    """Where and how a trial runs: none of it enters a trial's identity, all of it is recorded."""

    device: Literal["auto", "cpu", "cuda"] = machine_local(
        "auto", description="auto: a GPU where one is"
    )
    threads: int | None = machine_local(
        None, ge=1, description="CPU threads per trial; default: an equal part of the cores"
    )
    placement: Literal["auto", "device", "pinned", "stream"] = machine_local(
        "auto", description="where images are kept: on the device, in pinned memory, or on disk"
    )
    memory_share: float = machine_local(
        0.5, gt=0, le=1, description="fraction of free memory that images may use under `auto`"
    )
    loader_threads: int = machine_local(
        2, ge=1, description="prefetching threads where images are not kept on the device"
    )
    cuda_graphs: Literal["auto", "on", "off"] = machine_local(
        "auto",
        description="replay whole training steps as CUDA graphs; "
        "auto: unet, resnet34_unet, ddpm_unet and resnet, where memory allows",
    )
    resources: ClusterResources = machine_local(
        ClusterResources(), description="what each trial takes of a cluster (--executor ray)"
    )


def _expand_task(value: Any) -> Any:
    if isinstance(value, str):
        return {"target": value} if ":" in value else {"name": value}
    return value


def target_classes(task: TaskSettings, data: DataSettings) -> tuple[str, ...]:
    """Names of the classes of what `task` learns from `data`."""
    if task.target_form == "none":
        return ()
    return data.class_names() if task.target_form == "mask" else data.label_names()


def _metrics(task: TaskSettings, data: DataSettings) -> dict[str, Mode]:
    return task.metric_modes(target_classes(task, data), background=data.background == "first")


class TrialSettings(Settings):
    """All settings of one trial but its seed."""

    task: Annotated[part_type(TASKS, CustomTask), BeforeValidator(_expand_task)] = Field(  # type: ignore[valid-type]  # made at run time
        description="what is learnt: the name of a task, or a mapping with `name:`; `target:` for "
        "one's own"
    )
    data: part_type(DATASETS, CustomData) = Field(  # type: ignore[valid-type]  # made at run time
        description="the data set: `name:` and its settings, or `target:` for one's own"
    )
    model: part_type(MODELS, Custom) = Field(  # type: ignore[valid-type]  # made at run time
        description="the model: `name:` and its settings, or `target:` for one's own"
    )
    augment: AugmentSettings = Field(
        AugmentSettings(), description="a list of augmentations, or a mapping with `transforms:`"
    )
    train: TrainSettings = Field(
        cast("TrainSettings", {}),  # the loss is filled in from the task
        validate_default=True,
        description="how each trial is trained",
    )
    select: SelectSettings = Field(
        cast("SelectSettings", {}),  # filled from the task
        validate_default=True,
        description="which epoch's checkpoint is the best",
    )
    mistakes: tuple[Mistake, ...] = Field(
        (), strict=False, description="known mistakes of published programs, made on purpose"
    )
    machine: Machine = Field(
        Machine(), description="where and how trials run; not part of their identity"
    )

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes of what is learnt; empty where nothing is classified."""
        return target_classes(self.task, self.data)

    @property
    def scored_classes(self) -> tuple[str, ...]:
        """Those of a mask that have scores of their own: all but the background."""
        return scored_classes(self.classes, background=self.data.background == "first")

    @property
    def metrics(self) -> dict[str, Mode]:
        """The validation metrics (`dice`, not `val/dice`) and their directions."""
        return _metrics(self.task, self.data)

    def identity(self, *, revised: bool = True) -> dict[str, Any]:
        """See `Settings.identity`; without `revised`, as the first release had it."""
        found = super().identity()
        if not revised:
            return found
        return with_revisions(found, self.task, self.data, self.model, self.train, self.classes)

    @field_validator("data")
    @classmethod
    def _has_the_target(cls, value: DataSettings, info: ValidationInfo) -> DataSettings:
        task = info.data.get("task")
        form = "none" if task is None else task.target_form
        if task is not None and form != "none" and len(target_classes(task, value)) < 2:
            kind = "masks" if form == "mask" else "labels"
            raise ValueError(f"has no {kind} of two classes or more, as {task.name} needs")
        if form == "label" and value.several_labels:
            raise ValueError("has images of several labels: use task: multi_label")
        if form == "labels" and value.several_labels is False:
            raise ValueError("has one label for each image: use task: classification")
        if task is not None and value.scores_own_size and task.name != "segmentation":
            raise error_at(f"original is for segmentation, not for {task.name}", "evaluate_at")
        if task is not None and value.crop is not None and task.target_form != "mask":
            raise error_at(f"{task.name} sees whole images: remove it", "crop")
        if task is not None and task.name == "diffusion" and value.channel_count != 3:
            raise ValueError(f"has {value.channel_count} channels, diffusion draws three")
        if task is not None and task.normalize and value.normalize not in task.normalize:
            fitting = " or ".join(sorted(task.normalize))
            raise error_at(f"{task.name} needs {fitting}, not {value.normalize}", "normalize")
        return value

    @field_validator("augment")
    @classmethod
    def _suits_the_task(cls, value: AugmentSettings, info: ValidationInfo) -> AugmentSettings:
        if (task := info.data.get("task")) is not None:
            check_augmentation(value, task)
        return value

    @field_validator("model")
    @classmethod
    def _serves_the_task(cls, value: Settings, info: ValidationInfo) -> Settings:
        task = info.data.get("task")
        if task is None or isinstance(value, Custom):
            return value
        like = task.name
        if isinstance(task, CustomTask):  # whose outputs have that task's shape
            like = "classification" if task.gives_vectors else "segmentation"
        if like in value.supported_tasks:  # type: ignore[attr-defined]  # all models' settings have it
            return value
        fitting = [
            name for name in MODELS.names() if like in MODELS.entry(name).settings.supported_tasks
        ]
        raise ValueError(f"is not a model for {task.name}; use one of {', '.join(fitting)}")

    @field_validator("train", mode="before")
    @classmethod
    def _default_loss(cls, value: Any, info: ValidationInfo) -> Any:
        task = info.data.get("task")
        if task is None or not isinstance(value, dict):
            return value
        loss = value.get("loss", task.losses[0])
        for term in loss if isinstance(loss, list | tuple) else [loss]:
            name = term.get("name") if isinstance(term, dict) else term
            if isinstance(name, str) and name not in task.losses:
                hint = did_you_mean(name, task.losses)
                raise error_at(f"{name!r} is not a loss of {task.name}{hint}", "loss")
        return {**value, "loss": loss}

    @field_validator("train")
    @classmethod
    def _fits_the_classes(cls, value: TrainSettings, info: ValidationInfo) -> TrainSettings:
        task, data = info.data.get("task"), info.data.get("data")
        if task is None or data is None:
            return value
        classes, weights = target_classes(task, data), value.class_weights
        if isinstance(weights, tuple) and len(weights) != len(classes):
            raise error_at(
                f"has {len(weights)} numbers, and there are {len(classes)} classes: "
                f"{', '.join(classes)}",
                "class_weights",
            )
        if not task.open_loss and not isinstance(value.loss, str):
            raise error_at(f"is {' or '.join(task.losses)} in {task.name}", "loss")
        if value.sampler == "balanced" and task.target_form == "none":
            raise error_at(f"cannot be balanced: {task.name} has no classes", "sampler")
        return value

    @model_validator(mode="after")
    def _freezes_what_there_is(self) -> TrialSettings:
        stages = getattr(self.model, "stages", None)  # None: a model of the user's own
        freeze, encoder_lr = self.train.freeze, self.train.encoder_lr
        if stages == () and freeze != "none":
            raise error_at("the model has no encoder to freeze", "train", "freeze")
        if stages == () and encoder_lr is not None:
            raise error_at("the model has no encoder", "train", "encoder_lr")
        if stages and isinstance(freeze, FreezeUpTo) and freeze.up_to not in stages:
            hint = did_you_mean(freeze.up_to, stages)
            raise error_at(f"no stage {freeze.up_to!r}{hint}", "train", "freeze", "up_to")
        return self

    @field_validator("select", mode="before")
    @classmethod
    def _default_select(cls, value: Any, info: ValidationInfo) -> Any:
        if not isinstance(value, dict):
            return value
        task, data = info.data.get("task"), info.data.get("data")
        if task is None or data is None:  # their own errors are reported
            return {"metric": "val/loss", "mode": "min"} | value
        metrics = {val_curve(name): mode for name, mode in _metrics(task, data).items()}
        metric = value.get("metric", val_curve(task.default_metric()))
        if not isinstance(metric, str):  # reported as the wrong type
            return {"mode": "max"} | value
        if curve_metric(metric) in task.end_metrics():
            raise error_at(
                f"{metric} is computed at the end only: give it `when: epoch` in task.metrics",
                "metric",
            )
        if metric not in metrics:
            raise error_at(f"unknown metric {metric!r}{did_you_mean(metric, metrics)}", "metric")
        if value.get("mode") not in (None, metrics[metric]):
            raise error_at(f"{metric} is better {_BETTER[metrics[metric]]}", "mode")
        return {"metric": metric, "mode": metrics[metric]} | value

    @field_validator("mistakes")
    @classmethod
    def _in_order(cls, value: tuple[Mistake, ...]) -> tuple[Mistake, ...]:
        _refuse_repeats(value)
        return tuple(sorted(value))


def _kind_of_levels(value: Any) -> str | None:
    if isinstance(value, dict):
        return "mapping"
    return "list" if isinstance(value, list) else None


Levels = Annotated[
    Annotated[dict[str, Any], Field(min_length=1), Tag("mapping")]
    | Annotated[list[Any], Field(min_length=1), Tag("list")],
    Discriminator(
        _kind_of_levels,
        custom_error_type="levels",
        custom_error_message="must be a mapping of labels to values, or a list of values",
    ),
]
"""The levels of one axis: `{label: value}`, or values that label themselves."""

Axes = Annotated[dict[str, Levels], Field(min_length=1)]


class Sweep(Settings):
    """The part of a spec that says which trials there are."""

    experiment: str = Field(
        pattern=NAME_PATTERN,
        description="its name: a folder under results/, and MLflow's experiment",
    )
    grid: Axes = Field(
        cast("Axes", {}),
        description="axis: levels. An axis is a dotted path into the settings (model, train.lr, "
        "…); every level is combined with every level of the other axes",
    )
    zip: tuple[Axes, ...] = Field(
        (),
        strict=False,
        description="axes that vary together, of equal length; a mapping, or a list of them",
    )
    include: tuple[Annotated[dict[str, Any], Field(min_length=1)], ...] = Field(
        (),
        strict=False,
        description="additional arms; each names a level (a label, a new value, or {label: value}) "
        "for every axis",
    )
    exclude: tuple[Annotated[dict[str, Any], Field(min_length=1)], ...] = Field(
        (), strict=False, description="arms to leave out, by the labels on one axis or several"
    )
    design: DesignSettings | None = Field(
        None, description="an ablation: its configurations, each with every combination of axes"
    )
    seeds: Seeds = Field(
        (0,),
        description="a list of seeds, or how many: 3 is [0, 1, 2]; or {until: settled}: as many as "
        "the hypotheses take",
    )
    hypotheses: tuple[Hypothesis, ...] = Field(
        (), strict=False, description="claims about the arms, which the report tests"
    )
    statistics: StatisticsSettings = Field(
        StatisticsSettings(), description="how the report tests; no trial depends on it"
    )
    search: SearchSettings | None = Field(
        None, description="instead of a grid: a search for the best settings, by `bench search`"
    )

    @field_validator("experiment")
    @classmethod
    def _not_reserved(cls, value: str) -> str:
        if value.lower() in RESERVED_NAMES:
            raise ValueError(f"{value!r} is reserved for a store; choose another name")
        if value.partition(".")[0].lower() in WINDOWS_DEVICE_NAMES:
            raise ValueError(f"{value!r} cannot name a folder on Windows; choose another")
        return value

    @field_validator("zip", mode="before")
    @classmethod
    def _one_group(cls, value: Any) -> Any:
        return (value,) if isinstance(value, dict) else value

    @field_validator("seeds", mode="before")
    @classmethod
    def _counted(cls, value: Any) -> Any:
        if value == "settled":
            raise ValueError("write {until: settled}, a number of seeds or a list of them")
        if isinstance(value, bool) or not isinstance(value, int):
            return value
        if not 1 <= value <= MAX_SEEDS:
            raise ValueError(f"a count of seeds must be from 1 to {MAX_SEEDS}, not {value}")
        return tuple(range(value))

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, value: tuple[int, ...] | RepeatSettings) -> tuple[int, ...] | RepeatSettings:
        if isinstance(value, tuple):
            _refuse_repeats(value)
        return value

    @property
    def repeats(self) -> RepeatSettings | None:
        """How seeds are added until all is settled; None where they are fixed."""
        return self.seeds if isinstance(self.seeds, RepeatSettings) else None

    @property
    def first_seeds(self) -> tuple[int, ...]:
        """The seeds that every arm has in any case."""
        repeats = self.repeats
        return self.seeds if repeats is None else tuple(range(repeats.min))  # type: ignore[return-value]  # it is a tuple then

    @property
    def further_seeds(self) -> tuple[int, ...]:
        """Seeds that may be added."""
        repeats = self.repeats
        return () if repeats is None else tuple(range(repeats.min, repeats.max))


def _refuse_repeats(values: Iterable[Any]) -> None:
    seen: set[Any] = set()
    for value in values:
        if value in seen:
            raise ValueError(f"{value!r} appears twice")
        seen.add(value)


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a spec file, for editors."""
    return spec_schema(TrialSettings.model_json_schema(), Sweep.model_json_schema(), AXIS_ROOTS)
