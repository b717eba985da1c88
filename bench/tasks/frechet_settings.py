"""What a spec can say of the Fréchet distance and its features; nothing here imports torch."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from bench.settings import Settings, machine_local

Label = str | int | float | bool | None


class EarlierClassifier(Settings):
    """A classifier that an earlier experiment has trained, the same one for all trials."""

    experiment: str = Field(min_length=1, description="the earlier experiment's name")
    where: dict[str, Label] = Field(
        {}, description="axis: label; which of its arms; default: all of them"
    )
    pick: Literal["best"] = Field(
        "best", description="best: the best finished trial by that experiment's own metric"
    )


class ResolvedExtractor(Settings):
    """What planning makes of the other spellings: exactly whose features, and where they lie.

    Attributes:
        exactly: torchvision's full name of the weights, or a hash of a classifier's settings and
            seed: neither labels nor folders count.
        sha256: of the file, or its first digits.
        name: for the record.
        file: with the weights; in a classifier's folder is its configuration.
    """

    source: Literal["inception", "classifier"]
    exactly: str
    sha256: str
    name: str = machine_local(...)
    file: str = machine_local(...)


def _kind(value: Any) -> str | None:
    if isinstance(value, str):
        return "text"
    if isinstance(value, ResolvedExtractor) or (isinstance(value, dict) and "source" in value):
        return "settled"
    return "earlier" if isinstance(value, EarlierClassifier | dict) else None


ExtractorSetting = Annotated[
    Annotated[Literal["auto", "inception", "classifier"], Tag("text")]
    | Annotated[ResolvedExtractor, Tag("settled")],
    Discriminator(
        _kind,
        custom_error_type="extractor",
        custom_error_message="must be auto, inception or classifier",
    ),
]
"""`auto`, `inception` or `classifier`; once planned, Inception is a `ResolvedExtractor`."""

Classifier = Annotated[
    Annotated[str, Field(min_length=1), Tag("text")]
    | Annotated[EarlierClassifier, Tag("earlier")]
    | Annotated[ResolvedExtractor, Tag("settled")],
    Discriminator(
        _kind,
        custom_error_type="classifier",
        custom_error_message="must be a trial's folder or id, or {experiment: …}",
    ),
]
"""A trial's folder or id, or an earlier experiment's best; once planned, `ResolvedExtractor`."""


class FrechetSettings(Settings):
    """The Fréchet distance between generated and test images, of the best epoch only."""

    samples: int = Field(2048, ge=2, description="generated images; fewer than features are biased")
    extractor: ExtractorSetting = Field(
        "auto",
        description="whose features are compared: torchvision's Inception, from its cache, or a "
        "classifier of our own; auto: Inception where its weights are, else the classifier",
    )
    classifier: Classifier | None = Field(
        None,
        description="a finished classification trial: its folder, its id, or "
        "{experiment: …, where: {axis: label}}, which is that experiment's best",
    )

    @property
    def resolved(self) -> ResolvedExtractor | None:
        """Whose features exactly; None before planning has settled it.

        It stands where it was asked for, so that trials whose axis is one of the two differ in
        nothing else.
        """
        found = (self.extractor, self.classifier)
        return next((value for value in found if isinstance(value, ResolvedExtractor)), None)

    @model_validator(mode="after")
    def _classifier_is_used(self) -> FrechetSettings:
        if self.extractor == "classifier" and self.classifier is None:
            raise ValueError("extractor: classifier needs `classifier`, a finished trial")
        if self.extractor == "inception" and self.classifier is not None:
            raise ValueError("classifier is not used with extractor: inception")
        return self
