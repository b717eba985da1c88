from __future__ import annotations

from pathlib import Path

import pytest

from bench.data import survey_cache
from bench.data.base import FileFacts, Splits
from bench.data.settings import CustomData, DataSettings, ShapesSettings
from bench.data.survey_cache import kept_survey, look
from tests.builders.surveys import CLASSES, masks, noise, split

FACTS = FileFacts(9, 9, "L", 8, 1, 1, 0, 255, "uint8")
BENCH_SOURCE = CustomData.model_validate({"target": "a.b:C"})


def data(
    fingerprint: str = "f00d", *, notes: tuple[str, ...] = (), facts: tuple[FileFacts, ...] = ()
) -> Splits:
    splits = {"train": split("t", noise(3), masks=masks({1: 5}, {}, {}), facts=facts)}
    return Splits(splits, CLASSES, fingerprint, notes)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    found = look(data(), ShapesSettings())
    monkeypatch.setattr(survey_cache, "survey_of", lambda *_: pytest.fail("counted again"))
    assert look(data(), ShapesSettings()) == found == kept_survey(data(), ShapesSettings())


@pytest.mark.parametrize(
    ("other", "settings"),
    [
        (data("beef"), ShapesSettings()),
        (data(notes=("a part",)), ShapesSettings()),
        (data(facts=(FACTS,) * 3), ShapesSettings()),
        (data(), ShapesSettings(background="none")),
        (data(), BENCH_SOURCE),
    ],
)
def test_another_data_set_is_another_survey(other: Splits, settings: DataSettings) -> None:
    look(data(), ShapesSettings())
    assert kept_survey(other, settings) is None


def test_what_a_user_calls_a_fingerprint_is_not_trusted(cache: Path) -> None:
    look(data(), BENCH_SOURCE)
    assert kept_survey(data(), BENCH_SOURCE) is None
    assert not cache.exists()


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"name": 3}'])
def test_a_damaged_one_is_made_again(cache: Path, content: str) -> None:
    found = look(data(), ShapesSettings())
    (file,) = (cache / "surveys").iterdir()
    file.write_text(content)
    assert kept_survey(data(), ShapesSettings()) is None
    assert look(data(), ShapesSettings()) == found
    assert kept_survey(data(), ShapesSettings()) == found


def test_a_cache_that_cannot_be_written_is_no_error(cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    assert look(data(), ShapesSettings()).splits["train"].images == 3
