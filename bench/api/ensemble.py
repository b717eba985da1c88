"""All folds of an arm as one model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from bench.api.trial import Trial
from bench.record.store import Store

if TYPE_CHECKING:
    from bench.api.images import ImageLike


class Ensemble:
    """The folds of an arm together: the mean of their probabilities.

    Attributes:
        trials: of each fold.
    """

    def __init__(self, store: Store, name: str) -> None:
        from bench.inference.ensemble import fold_members

        self._store, self._name = store, name
        self.trials = [Trial(files.folder) for files in fold_members(store, name)]

    def __repr__(self) -> str:
        return f"<Ensemble of {len(self.trials)} trials: {self._name}>"

    def predict(
        self,
        images: ImageLike | Sequence[ImageLike],
        device: str = "auto",
        *,
        trust_code: bool = False,
    ) -> Any:
        """What the models make of an image together, or of each in a list; as `Trial.predict`."""
        from bench.api.predicted import predicted
        from bench.api.trained import Trained
        from bench.inference.ensemble import Predictor
        from bench.record.store import TrialFiles

        members = [
            Trained(TrialFiles(trial.folder), device, trust_code=trust_code)
            for trial in self.trials
        ]
        model = Predictor([member.parts for member in members])

        def one(image: ImageLike) -> Any:
            return predicted(model, [member.read(image) for member in members])

        if isinstance(images, list | tuple):
            return [one(image) for image in images]
        return one(cast("ImageLike", images))

    def evaluate(
        self, device: str = "auto", *, trust_code: bool = False
    ) -> dict[str, float | None]:
        """The metrics of the mean of the probabilities on the test split; None: no score.

        Raises:
            BenchError: there is no test split, or the data are not there.
        """
        from bench.inference.evaluate import evaluate

        return evaluate(self._store, self._name, "test", device, trust_code=trust_code)
