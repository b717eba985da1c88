"""Whatever is wrong with a spec is one line that names the file, line, key and remedy."""

from __future__ import annotations

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from bench.errors import SpecError
from bench.plan.expand import check_targets, make_plan
from bench.spec.load import load_spec

FOLDER = Path(__file__).parent / "malformed"
GOOD = (FOLDER / "good.yaml").read_text()
CASES = YAML(typ="safe", pure=True).load(FOLDER / "cases.yaml")


def planned(path: Path, *overrides: str) -> None:
    check_targets(make_plan(load_spec(path, overrides)))


def fault(path: Path, *overrides: str) -> str:
    with pytest.raises(SpecError) as caught:
        planned(path, *overrides)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "spec.yaml"
    path.write_text(GOOD)
    return path


def test_the_spec_is_good_before_it_is_spoilt(spec: Path) -> None:
    planned(spec)


@pytest.mark.parametrize("name", CASES)
def test_malformed(name: str, spec: Path) -> None:
    old, new, line, key, expected = CASES[name]
    assert old in GOOD
    spec.write_text(GOOD.replace(old, new, 1))
    message = fault(spec)
    location = f"{spec}:{line}: " if line else f"{spec}: "
    start = f"{location}{key}: " if key else location
    assert message.startswith(start)
    assert expected in message.removeprefix(start)


@pytest.mark.parametrize(
    ("override", "key", "message"),
    [
        ("train.lrr=3", "train.lrr", "unknown key (did you mean 'lr'?)"),
        ("train.epochs=0", "train.epochs", "must be at least 1, not 0"),
        ("train.epochs='3'", "train.epochs", "must be an integer, not '3'"),
        ("grid.model.unet.widht=2", "grid.model.unet.widht", "did you mean 'width'?"),
        ("grid.train.lr=[3e-4, -1]", "grid.train.lr.1", "must be greater than 0"),
        ("sedes=3", "sedes", "did you mean 'seeds'?"),
        ("train.lr=1e-4", "train.lr", "override the axis instead: grid.train.lr=…"),
        ("train={lr: 1, epochs: 3}", "train.lr", "override the axis instead: grid.train.lr=…"),
        ("model.width=0.5", "model.width", "override the axis instead: grid.model=…"),
        ("experiment.x=1", "experiment", "so that nothing in it can be set"),
        ("task.noise=cosine", "task.noise", "unknown key"),
        ("exclude.1.model=unet", "exclude.1", "must be an index of this list, from 0 to 0"),
        ("exclude.x=unet", "exclude.x", "must be an index of this list"),
        ("train.epochs", "", "write key=value"),
        ("=3", "", "write key=value"),
        ("train..lr=3", "train..lr", "a part of the key is empty"),
        ("train.epochs=", "train.epochs", "a value is missing"),
        ("train.epochs=[1", "train.epochs", "not YAML"),
        ("train.epochs=*x", "train.epochs", "anchors"),
    ],
)
def test_malformed_override(override: str, key: str, message: str, spec: Path) -> None:
    text = fault(spec, override)
    start = f"override {override!r}: " + (f"{key}: " if key else "")
    assert text.startswith(start)
    assert message in text.removeprefix(start)


def test_missing_file(tmp_path: Path) -> None:
    assert (
        fault(tmp_path / "no.yaml") == f"{tmp_path / 'no.yaml'}: no such file; name a spec (YAML)"
    )


def test_folder(tmp_path: Path) -> None:
    assert fault(tmp_path).startswith(f"{tmp_path}: is a folder")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", ":1: is empty; a spec starts with `experiment:`"),
        (b"# only a comment\n", ":1: is empty; a spec starts with `experiment:`"),
        (b"- a\n- b\n", ":1: must be a mapping of keys to values"),
        (b"words\n", ":1: must be a mapping of keys to values"),
        ("experiment: größe\n".encode("latin-1"), ": is not UTF-8 text; save it as UTF-8"),
        (GOOD.encode("utf-16"), ": is not UTF-8 text; save it as UTF-8"),
    ],
)
def test_not_a_spec_at_all(content: bytes, message: str, spec: Path) -> None:
    spec.write_bytes(content)
    assert fault(spec) == f"{spec}{message}"


def test_a_module_that_fails_is_no_traceback(spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (spec.parent / "broken_part.py").write_text("raise RuntimeError('out of\\nluck')\n")
    monkeypatch.syspath_prepend(str(spec.parent))
    spec.write_text(GOOD.replace("{name: unet}", "{target: 'broken_part:Net', depth: 3}"))
    assert fault(spec) == (
        f"{spec}:10: grid.model.unet.target: target 'broken_part:Net' cannot be imported: "
        "RuntimeError: out of luck"
    )


def test_a_range_of_seeds_in_place_of_a_count_names_its_whole_spelling(spec: Path) -> None:
    spec.write_text(GOOD.replace("[0, 1]", "3"))
    text = fault(spec, "seeds.max=5")
    assert text.startswith("override 'seeds.max=5': seeds: is 3, so that nothing in it can be set")
    assert text.endswith("'seeds={until: settled, max: 5}'")
