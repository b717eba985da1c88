from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bench.atomic_files import replacing
from bench.errors import StoreError
from bench.record.files import (
    read_json,
    read_yaml,
    remove_leftovers,
    write_json,
    write_text,
    write_yaml,
)


def test_a_writer_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_text("half" * temporary.write_text("half") * (1 // 0))
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with pytest.raises(StoreError) as caught, replacing(path):
        raise OSError(28, "No space left on device")
    assert str(caught.value) == (
        f"{path}: cannot be written (No space left on device): "
        "free space or make the folder writable"
    )
    assert not path.exists()


def test_json_is_strict_and_takes_numpy_and_paths(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    record = {
        "nan": float("nan"), "inf": [float("-inf")], "third": 1 / 3, "none": None, "yes": True,
        "np": np.float32(0.1), "int": np.int64(7), "path": Path("x"), 3: "ä",
    }  # fmt: skip
    write_json(path, record, durable=True)

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    json.loads(path.read_text(), parse_constant=refuse)
    assert read_json(path) == {
        "nan": None, "inf": [None], "third": 1 / 3, "none": None, "yes": True,
        "np": float(np.float32(0.1)), "int": 7, "path": "x", "3": "ä",
    }  # fmt: skip


def test_half_a_character_is_written_out(tmp_path: Path) -> None:
    """As of a file's name that is no text: nothing else in the record is lost for it."""
    path = tmp_path / "a.json"
    write_json(path, {"message": os.fsdecode(b"b\xff.png") + ": ä", os.fsdecode(b"\xfe"): 1})
    assert read_json(path) == {"message": "b\\udcff.png: ä", "\\udcfe": 1}
    path.write_text(r'{"message": "\ud800 and \u00e4", "more": [1, NaN]}')  # by another program
    found = read_json(path)
    assert found is not None
    assert found["message"] == "\\ud800 and ä"
    write_text(tmp_path / "a.csv", "x\ud800\n")
    assert (tmp_path / "a.csv").read_text() == "x\\ud800\n"


def test_yaml_keeps_types_order_and_text_that_looks_like_something_else(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    record = {
        "zeta": "none", "axes": {"no": "no", "lr": "1e-3", "t": "12:30", "o": "0o7"},
        "lr": 1e-05, "big": 1e22, "exact": 0.1 + 0.2, "one": 1.0, "int": 1, "null": None,
        "text": "a: b # c\n'd'", "list": [{"elastic": {"p": 0.2}}, []], "flag": False,
        "long": "word " * 50,
    }  # fmt: skip
    write_yaml(path, record)
    found = read_yaml(path)
    assert found == record
    assert list(found) == list(record)
    assert [type(value) for value in found.values()] == [type(v) for v in record.values()]
    assert "axes:\n  no: no\n" in path.read_text()  # YAML 1.2, readable


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", b'{"half": '), ("a.json", b""), ("a.json", b"[1]"), ("a.json", b"\xff\xfe"),
        ("a.json", b"[" * 100_000), ("a.yaml", b"a: [1"), ("a.yaml", b""),
        ("a.yaml", b"a:\n\tb: 1"),
        ("a.yaml", b"!!python/object/apply:os.getcwd []"),
    ],
)  # fmt: skip
def test_a_corrupt_file_is_named_with_the_remedy(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(StoreError) as caught:
        (read_json if path.suffix == ".json" else read_yaml)(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: cannot be read (")
    assert message.endswith("restore it, or `bench run` its spec, which makes it anew")
    assert "\n" not in message


def test_a_file_that_is_not_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert read_json(tmp_path / "a.json") is None
    assert read_yaml(tmp_path / "file" / "a.yaml") is None


def test_leftovers_of_dead_writers_go_and_those_of_living_ones_stay(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    kept = [f".mlflow.json.{os.getpid()}-abc123.tmp", ".hidden", "status.json"]
    gone = [f".history.csv.{dead.pid}-0f0f0f.tmp", f".best.pt.{dead.pid}"]
    for name in kept + gone:
        (tmp_path / name).touch()
    remove_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)


def test_halves_of_a_character_in_yaml_are_no_text_that_breaks_the_report(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text('a: "x\\ud83d"\n"k\\ude00": ["\\ud83d\\ude00", 1, "\\u00e9"]\n')
    found = read_yaml(path)
    assert found == {"a": "x\\ud83d", "k\\ude00": ["\\ud83d\\ude00", 1, "é"]}
    str(found).encode()
