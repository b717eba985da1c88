"""Labels, claims and names of classes in a spec follow the rule of `import`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench.errors import SpecError
from bench.plan.expand import make_plan
from bench.plan.plan import Plan
from bench.spec.load import load_spec

SPEC = """\
experiment: e
task: segmentation
data: {name: shapes, image_size: 16, train: 4, val: 2, test: 2}
model: {name: unet, width: 0.05}
grid:
  train.lr: {LABELS}
hypotheses:
- {id: h, claim: CLAIM, metric: best_val_dice, a: {train.lr: a}, b: {train.lr: b}, expect: higher}
"""
LABELS = "a: 0.1, b: 0.2"
FOLDER = "{name: class_folder, root: r, image_size: 16, classes: [CLASSES]}"


def plan(folder: Path, labels: str = LABELS, claim: str = '"better"') -> Plan:
    text = SPEC.replace("LABELS", labels).replace("CLAIM", claim)
    path = folder / "spec.yaml"
    path.write_text(text)
    return make_plan(load_spec(path))


@pytest.mark.parametrize(
    ("escape", "name"),
    [
        (r"\e[31m", "U+001B"),
        (r"\0", "U+0000"),
        (r"\n", "U+000A"),
        (r"\N", "U+0085"),
        (r"\L", "U+2028 LINE SEPARATOR"),
        (r"\P", "U+2029 PARAGRAPH SEPARATOR"),
        (r"\u202e", "U+202E RIGHT-TO-LEFT OVERRIDE"),
        (r"\u200b", "U+200B ZERO WIDTH SPACE"),
        (r"\u00a0", "U+00A0 NO-BREAK SPACE"),
    ],
)
def test_labels_and_claims_without_what_is_not_seen(tmp_path: Path, escape: str, name: str) -> None:
    with pytest.raises(SpecError) as caught:
        plan(tmp_path, f'{LABELS}, "x{escape}y": 0.3')
    assert ":6: grid.train.lr." in str(caught.value)
    assert f"the label has the character {name}" in str(caught.value)
    assert "\n" not in str(caught.value)
    if escape != r"\n":
        with pytest.raises(SpecError, match=rf":8: hypotheses\.0\.claim: has .*{re.escape(name)}"):
            plan(tmp_path, claim=f'"x{escape}y"')


def test_labels_that_values_give_themselves(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    text = SPEC.split("grid")[0] + 'grid:\n  model.weights: [none, "LONG"]\n'
    path.write_text(text.replace("LONG", "w" * 101))
    with pytest.raises(SpecError, match=r"has 101 characters; at most 100 .*`label: value`"):
        make_plan(load_spec(path))


def test_claims_in_yaml_s_blocks_are_one_line(tmp_path: Path) -> None:
    found = plan(tmp_path, claim='"  a claim\\n\\n  of two\\r\\n lines \\n"')
    assert found.hypotheses[0].claim == "a claim of two lines"
    with pytest.raises(SpecError, match="claim: is empty"):
        plan(tmp_path, claim='" \\n "')
    with pytest.raises(SpecError, match="claim: has 1001 characters"):
        plan(tmp_path, claim="x" * 1001)


def test_names_of_classes(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    text = SPEC.split("grid")[0].replace("segmentation", "classification")
    text = text.replace("{name: unet, width: 0.05}", "{name: resnet, depth: 18}")
    before, _, after = text.partition("data: ")
    for name in (r"c\u200dd", r"c\x1bd"):
        data = FOLDER.replace("CLASSES", f'cat, "{name}"')
        path.write_text(before + f"data: {data}\n" + after.partition("\n")[2])
        with pytest.raises(SpecError, match=r":3: data\.classes\.1: the name has the character U"):
            make_plan(load_spec(path))


def test_all_others_are_accepted(tmp_path: Path) -> None:
    labels = (
        r"""'-1': 0.3, '=1+1': 0.4, 'a|b `c`': 0.5, 'μ → é': 0.6, '漢字 🐱': 0.7, '\ {}': 0.8"""
    )
    found = plan(tmp_path, f"{LABELS}, {labels}")
    assert list(found.axes["train.lr"])[2:] == [
        "-1", "=1+1", "a|b `c`", "μ → é", "漢字 🐱", "\\ {}",
    ]  # fmt: skip
