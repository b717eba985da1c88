"""Which augmentations a task can have."""

from __future__ import annotations

from bench.augment.settings import BY_SAMPLE, AugmentSettings, named_transforms
from bench.tasks.settings import TaskSettings


def check_augmentation(augment: AugmentSettings, task: TaskSettings) -> None:
    """Refuse what would train a task on something else than it means.

    Raises:
        ValueError: labels that cannot be mixed, or masks that would not follow their images.
    """
    task_name = task.name  # type: ignore[attr-defined]  # every task's settings have one
    names = [part.name for part in named_transforms(augment.transforms)]
    if task.target_form == "mask":
        for name in BY_SAMPLE:
            if name in names:
                raise ValueError(
                    f"{name} moves images and not their masks, which {task_name} learns: use "
                    "light, medium or heavy, or a `target:` pipeline, which has the mask follow"
                )
        if "mixup" in names:
            raise ValueError(
                f"mixup has no meaning in {task_name}: a pixel would have shares of several "
                "classes, and ignored pixels none; use cutmix, which mixes masks as they are"
            )
    elif task.target_form in ("none", "labels") and augment.mixing:
        why = "there are none" if task.target_form == "none" else "some may not be known"
        raise ValueError(
            f"{augment.mixing[0]} mixes labels, and in {task_name} {why}: leave it out"
        )
