"""A recorded trial: its settings, its curve, its trained model, and what that makes of images."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pandas as pd

from bench.record.confirm import checked_config
from bench.record.store import TrialFiles
from bench.texts import visible

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bench.api.images import ImageLike
    from bench.api.trained import Trained


class Trial:
    """One trial's records. Nothing of it is code: models are built when they are asked for.

    Attributes:
        id: its name.
        folder: where its files are.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.id: str = self.folder.name
        self._files = TrialFiles(self.folder)
        self._trained: dict[tuple[str, bool], Trained] = {}

    def __repr__(self) -> str:
        return f"<Trial {self.id}: {self.status}>"

    @property
    def status(self) -> str:
        """`done`, `failed`, `interrupted`, `running`, `planned` or `pruned`."""
        return str(self._files.status().status)

    @property
    def config(self) -> dict[str, Any]:
        """`config.yaml`: `experiment`, `id`, `seed`, `axes` and all `settings`, checked.

        Raises:
            BenchError: it is damaged, or not what the trial's id says.
        """
        return dict(checked_config(self._files))

    @property
    def seed(self) -> int | None:
        """Its seed; None where an imported log names none."""
        seed: int | None = self.config["seed"]
        return seed

    @property
    def axes(self) -> dict[str, str]:
        """Its label on every axis."""
        return dict(self.config["axes"])

    @property
    def summary(self) -> dict[str, Any]:
        """`summary.json`: best and final values, costs, test scores; empty before it is done."""
        return dict(self._files.summary())

    @property
    def history(self) -> pd.DataFrame:
        """A row per epoch, with the columns of `history.csv`."""
        return pd.DataFrame(list(self._files.history()))

    @property
    def log(self) -> str:
        """What it printed while it was trained."""
        try:
            return self._files.log.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""

    def model(self, device: str = "auto", *, trust_code: bool = False) -> nn.Module:
        """The model with its best epoch's weights, in evaluation mode; a new one at each call.

        It takes what `preprocess` gives. A segmentation model gives scores (B, K, H, W), a
        classifier (B, K); a diffusion model the noise in (B, 3, H, W) at time steps (B,).

        Args:
            device: `auto`, `cpu` or `cuda`.
            trust_code: build a model whose code (`target:`) the record names. Somebody else's
                results run nothing without it: see docs/security.md.

        Raises:
            BenchError: there are no weights, they are not this trial's, or its code is not trusted.
        """
        from bench.api.trained import Trained

        return Trained(self._files, device, trust_code=trust_code).parts.model.eval()

    def preprocess(
        self, image: ImageLike, device: str = "auto", *, trust_code: bool = False
    ) -> Tensor:
        """(1, 3, H, W): the image at the trial's size, normalised, as its model was trained on it.

        Args:
            image: a file's path, a PIL image, or (H, W, 3) uint8 values.
            device: where the tensor is to be.
            trust_code: as of `model`.
        """
        return self._ready(device, trust_code=trust_code).network_input(image)

    def predict(
        self,
        images: ImageLike | Sequence[ImageLike],
        device: str = "auto",
        *,
        trust_code: bool = False,
    ) -> Any:
        """What the model makes of an image, or of each in a list.

        Args:
            images: file paths, PIL images, or (H, W, 3) uint8 values; one of them or a list.
            device: `auto`, `cpu` or `cuda`.
            trust_code: as of `model`.

        Returns:
            Of segmentation, (H, W) uint8 class numbers at the image's own size; of classification,
            a pandas Series of probabilities by class. A list for a list.

        Raises:
            BenchError: an image cannot be read, the task says nothing of single images, or as
                `model`.
        """
        trained = self._ready(device, trust_code=trust_code)
        if isinstance(images, list | tuple):
            return [trained.predict(one) for one in images]
        return trained.predict(cast("ImageLike", images))

    def evaluate(
        self, split: str = "test", device: str = "auto", *, trust_code: bool = False
    ) -> dict[str, float | None]:
        """The metrics of the best epoch's weights on `train`, `val` or `test`; None: no score.

        Raises:
            BenchError: the data are not there, or as `model`.
        """
        return self._ready(device, trust_code=trust_code).score(split)

    def _ready(self, device: str, *, trust_code: bool) -> Trained:
        """The trained parts, built once per device; what was trusted once is not for good."""
        from bench.api.trained import Trained

        key = (device, trust_code)
        if key not in self._trained:
            self._trained[key] = Trained(self._files, device, trust_code=trust_code)
        return self._trained[key]

    def _repr_html_(self) -> str:
        labels = ", ".join(f"{axis}: {label}" for axis, label in self.axes.items())
        shown = {k: v for k, v in self.summary.items() if isinstance(v, int | float)}
        table = pd.Series(shown, dtype=object).to_frame("value").to_html(na_rep="")
        head = f"<b>{escape(visible(self.id))}</b> ({escape(self.status)})"
        return f"<p>{head} {escape(visible(labels))}</p>{table}"
