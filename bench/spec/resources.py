"""What one trial takes of a cluster."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from bench.settings import Settings, machine_local


class ClusterResources(Settings):
    """What a trial asks of a cluster's node; none of it enters a trial's identity."""

    gpus: float | None = machine_local(
        None,
        ge=0,
        description="GPUs per trial, as 1 or 0.5 (two trials share one); default: train.devices "
        "where the cluster has any",
    )
    cpus: float | None = machine_local(
        None, gt=0, description="CPU cores per trial; default: machine.threads, else an equal part"
    )
    memory_gb: float | None = machine_local(
        None, gt=0, description="main memory per trial, 10⁹ bytes; default: not asked for"
    )
    custom: dict[str, Annotated[float, Field(gt=0)]] = machine_local(
        {}, description="resources that nodes were started with, by name: {a100: 1}"
    )

    @field_validator("gpus")
    @classmethod
    def _a_part_or_whole_ones(cls, value: float | None) -> float | None:
        if value is not None and value > 1:
            raise ValueError("is one GPU at most, or a part of one: train.devices asks for several")
        return value
