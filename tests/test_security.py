"""What nobody may do with a spec, a record, a cache or an image. Parts of it stand with the parts:
checkpoints that hold code, experiments' names, links in data, image bombs, the UI's address."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from bench.data.cache import Recipe, cache_root, cached
from bench.errors import StoreError
from bench.record.files import read_yaml
from bench.record.mlflow import Mirror
from bench.record.store import Store
from bench.report.page import write_report
from bench.spec.schema import Sweep
from tests.builders.records import MadeTrial, write_experiment

BENCH = Path(__file__).parents[1] / "bench"
HOSTILE = "<script>alert('x')</script><img src=x onerror=alert(1)>"
FORBIDDEN = {"pickle", "cPickle", "dill", "marshal", "shelve", "joblib", "cloudpickle", "yaml"}
# libyaml's parser only, whose events are text: see the test below
ALLOWED = {"record/quick_yaml.py": {"yaml"}}


def calls() -> Iterator[tuple[str, str, ast.Call]]:
    """Every call in the program: its file, what is called, and the call."""
    for file in sorted(BENCH.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                yield file.relative_to(BENCH).as_posix(), ast.unparse(node.func), node


def keyword(call: ast.Call, name: str) -> object:
    return {k.arg: ast.unparse(k.value) for k in call.keywords}.get(name)


def test_nothing_is_unpickled() -> None:
    for file in BENCH.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names]
                modules = [*names, getattr(node, "module", None) or ""]
                found = FORBIDDEN & {name.partition(".")[0] for name in modules}
                assert found <= ALLOWED.get(file.relative_to(BENCH).as_posix(), set()), file
    for file, called, call in calls():
        if called == "torch.load":
            assert keyword(call, "weights_only") == "True", file
        if called in ("np.load", "numpy.load"):
            assert keyword(call, "allow_pickle") == "False", file


def test_of_pyyaml_nothing_that_builds_objects_is_used() -> None:
    (file,) = ALLOWED
    tree = ast.parse((BENCH / file).read_text("utf-8"))
    of_yaml = {
        node.attr if isinstance(node, ast.Attribute) else ast.literal_eval(node.args[1])
        for node in ast.walk(tree)
        if (isinstance(node, ast.Attribute) and ast.unparse(node.value) == "yaml")
        or (isinstance(node, ast.Call) and ast.unparse(node.func) == "getattr")
    }
    assert "CBaseLoader" in of_yaml
    assert all(name.endswith(("Event", "Error")) for name in of_yaml - {"CBaseLoader"})


def test_a_target_is_the_only_way_to_code() -> None:
    importing = {
        (file, ast.unparse(call.args[0]))
        for file, called, call in calls()
        if called.endswith("import_module")
    }
    assert importing == {
        ("registry.py", "module_name"),
        # modules of our own, imported when first asked for
        ("__init__.py", "f'bench.{name}'"),
        ("__init__.py", "_PLACES[name]"),
        ("callable_module.py", "'bench.api.running'"),
    }
    for file, called, call in calls():
        assert called not in ("eval", "exec", "compile", "__import__", "os.system"), file
        assert keyword(call, "shell") is None, file


def test_of_pyyaml_only_the_parser_is_used() -> None:
    text = (BENCH / "record" / "quick_yaml.py").read_text("utf-8")
    used = {
        ast.unparse(node)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "yaml"
    }
    assert used <= {f"yaml.{name}Event" for name in (
        "Scalar", "MappingStart", "SequenceStart", "MappingEnd", "SequenceEnd", "Alias",
        "DocumentStart", "StreamEnd",
    )} | {"yaml.YAMLError"}  # fmt: skip
    assert 'getattr(yaml, "CBaseLoader", None)' in text


def test_yaml_is_read_as_plain_data() -> None:
    for file, called, call in calls():
        if called == "YAML" and not (file == "spec/yaml12.py" and not call.keywords):  # the writer
            assert keyword(call, "typ") == "'safe'", file


def test_a_record_cannot_build_objects(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(f"id: !!python/object/apply:os.mkdir ['{tmp_path}/made']\n")
    with pytest.raises(StoreError, match=r"config\.yaml: cannot be read"):
        read_yaml(file)
    assert not (tmp_path / "made").exists()


class Evil:
    """Unpickling it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, ...]:
        return Path.mkdir, (self.folder,)


def test_a_cache_cannot_hold_objects(tmp_path: Path) -> None:
    def samples() -> Iterator[tuple[np.ndarray, ...]]:
        yield (np.zeros((8, 8, 3), np.uint8),)

    recipe = Recipe({}, ("a",), (8, 8), samples, masks=False)
    cached(recipe)
    images, meta = (cache_root() / recipe.digest / name for name in ("images.npy", "meta.json"))
    with images.open("wb") as file:
        np.save(file, np.array([Evil(tmp_path / "made")], object), allow_pickle=True)
    record = json.loads(meta.read_text())
    meta.write_text(json.dumps(record | {"bytes": {"images.npy": images.stat().st_size}}))
    assert cached(recipe).images.shape == (1, 8, 8, 3)  # made anew
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "name", ["CON", "nul", "aux.old", "lpt1", "..", "../a", "/a", "a/b", "", "a\n"]
)
def test_names_that_are_no_folders(name: str) -> None:
    with pytest.raises(ValidationError):
        Sweep(experiment=name)


def test_console_is_a_folder_like_others() -> None:
    assert Sweep(experiment="console").experiment == "console"


def test_a_report_shows_hostile_texts_and_runs_none(tmp_path: Path) -> None:
    claim = {
        "id": "same", "claim": HOSTILE, "metric": "best_val_dice", "a": {"model": HOSTILE},
        "b": {"model": "b"}, "expect": "higher",
    }  # fmt: skip
    labels = (HOSTILE, "b")
    trials = [
        MadeTrial(seed, {"model": label}, summary={"best_val_dice": 0.5 + 0.01 * seed})
        for label in labels
        for seed in range(3)
    ]
    write_experiment(tmp_path / "results", "exp", trials)
    plan = tmp_path / "results" / "exp" / "plan.json"
    record = json.loads(plan.read_text()) | {"notes": [HOSTILE], "hypotheses": [claim]}
    plan.write_text(json.dumps(record))
    page = write_report(Store(tmp_path / "results"), ["exp"], tmp_path / "reports")
    html = page.read_text()
    assert html.count("&lt;script&gt;alert(") >= 3  # label, claim, note
    assert "<script>alert" not in html
    assert "<img src=x" not in html
    assert "<script>alert" not in page.with_name("report.md").read_text()


@pytest.mark.parametrize(
    "broken", [b"no image", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\xff\xff\0\0\xff\xff"]
)
def test_a_report_shows_no_bomb_and_no_broken_picture(tmp_path: Path, broken: bytes) -> None:
    trial = MadeTrial(0, {"model": "a"}, summary={"best_val_dice": 0.5})
    write_experiment(tmp_path / "results", "exp", [trial])
    samples = tmp_path / "results" / "exp" / trial.id / "samples"
    samples.mkdir()
    (samples / "x.png").write_bytes(broken)
    page = write_report(Store(tmp_path / "results"), ["exp"], tmp_path / "reports")
    assert "x: cannot be read" in page.read_text()


def test_a_servers_password_is_never_shown(tmp_path: Path) -> None:
    mirror = Mirror(Store(tmp_path), "https://me:hunter2@example.org/mlflow")
    assert "hunter2" not in mirror.label
