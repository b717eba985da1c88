"""What chooses the points of a search, and what ends hopeless ones."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from bench.settings import Settings

_Seed = Annotated[int, Field(ge=0, lt=2**31, description="of its random draws")]


class Tpe(Settings):
    """Tree-structured Parzen estimator: samples where good trials are denser than others."""

    name: Literal["tpe"] = Field("tpe", description="its name")
    startup_trials: int = Field(10, ge=1, description="points drawn at random first")
    seed: _Seed = 0


class RandomSampling(Settings):
    """Random search: independent of earlier results."""

    name: Literal["random"] = Field("random", description="its name")
    seed: _Seed = 0


class GaussianProcess(Settings):
    """A Gaussian process: for few dimensions and trials of hours."""

    name: Literal["gp"] = Field("gp", description="its name")
    startup_trials: int = Field(10, ge=1, description="points drawn at random first")
    seed: _Seed = 0


class Nsga2(Settings):
    """NSGA-II, an evolutionary algorithm: for hundreds of trials with several objectives."""

    name: Literal["nsga2"] = Field("nsga2", description="its name")
    population: int = Field(50, ge=2, description="trials per generation")
    seed: _Seed = 0


_Warmup = Annotated[int, Field(ge=0, description="epochs in which nothing is pruned")]
_Metric = Annotated[
    str | None,
    Field(description="with several objectives: the curve that decides, such as val/dice"),
]


class NoPruning(Settings):
    """Every trial is trained to its end."""

    name: Literal["none"] = Field("none", description="its name")


class Median(Settings):
    """Ends a trial whose best epoch is worse than the median trial's at the same epoch."""

    name: Literal["median"] = Field("median", description="its name")
    startup_trials: int = Field(5, ge=1, description="finished trials before the first is pruned")
    warmup_epochs: _Warmup = 1
    metric: _Metric = None


class Asha(Settings):
    """Asynchronous successive halving: at ever later epochs only the best go on."""

    name: Literal["asha"] = Field("asha", description="its name")
    min_epochs: int = Field(1, ge=1, description="the first epoch at which trials are pruned")
    reduction: int = Field(
        3, ge=2, description="one in this many continues; epochs grow by the same factor"
    )
    metric: _Metric = None


class Hyperband(Settings):
    """Successive halving from several first epochs."""

    name: Literal["hyperband"] = Field("hyperband", description="its name")
    min_epochs: int = Field(1, ge=1, description="the first epoch at which trials are pruned")
    reduction: int = Field(
        3, ge=2, description="one in this many continues; epochs grow by the same factor"
    )


class Wilcoxon(Settings):
    """Leaves the rest of a point's seeds out once it is worse than the best one, seed by seed."""

    name: Literal["wilcoxon"] = Field("wilcoxon", description="its name")
    p: float = Field(0.1, gt=0, lt=1, description="threshold of the signed-rank test")


def expand_name(value: Any) -> Any:
    """A part's short spelling as the long one."""
    return {"name": value} if isinstance(value, str) else value


def _name_of(value: Any) -> str | None:
    if isinstance(value, Settings):
        return str(value.name)  # type: ignore[attr-defined]  # every part's settings have a name
    return str(value["name"]) if isinstance(value, dict) and "name" in value else None


Sampler = Annotated[
    Annotated[Tpe, Tag("tpe")]
    | Annotated[RandomSampling, Tag("random")]
    | Annotated[GaussianProcess, Tag("gp")]
    | Annotated[Nsga2, Tag("nsga2")],
    Discriminator(_name_of),
]
Pruner = Annotated[
    Annotated[NoPruning, Tag("none")]
    | Annotated[Median, Tag("median")]
    | Annotated[Asha, Tag("asha")]
    | Annotated[Hyperband, Tag("hyperband")]
    | Annotated[Wilcoxon, Tag("wilcoxon")],
    Discriminator(_name_of),
]

SAMPLERS: tuple[type[Settings], ...] = (Tpe, RandomSampling, GaussianProcess, Nsga2)
PRUNERS: tuple[type[Settings], ...] = (NoPruning, Median, Asha, Hyperband, Wilcoxon)
