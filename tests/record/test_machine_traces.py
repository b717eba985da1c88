"""What of a machine is found in texts, and what is left alone."""

from __future__ import annotations

import pytest

from bench.record.machine_traces import (
    MachineTraces,
    hosts_in,
    is_absolute,
    keys_of_paths,
    paths_in,
    with_value,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/home/me/pets", "pets"),
        ("/home/me/my pets/", "my pets"),
        ("/data", "data"),
        (r"C:\Users\me\pets", "pets"),
        ("D:/pets", "pets"),
        (r"\\server\share\pets", "pets"),
        ("root: /home/me/pets\nnext: 1", "root: pets\nnext: 1"),
        ("{root: '/home/me/pets', size: 8}", "{root: 'pets', size: 8}"),
        (r"no such folder: C:\Users\me\pets (or D:\x)", "no such folder: pets (or x)"),
        ("/home/me/pets/a.png: cannot be read", "a.png: cannot be read"),
        ("~me/pets/a.png: cannot be read", "a.png: cannot be read"),
        ("sqlite:////home/me/optuna.db", "sqlite:///optuna.db"),
        ("file:///home/me/mlruns", "file://mlruns"),
        ("/home/me/results/pre/unet-s0-0123abcd/best.pt", "unet-s0-0123abcd/best.pt"),
        ('File "/home/me/bench/x.py", line 3', 'File "x.py", line 3'),
    ],
)
def test_of_an_absolute_path_the_last_part_stays(text: str, expected: str) -> None:
    assert MachineTraces().in_text(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "val/dice",
        "../shared/data",
        "~/data",
        "data",
        "/",
        "3,312 / 368 / 3,669",
        "https://example.org/a/b",
        "images/{split}/x.png",
        "^(P\\d+)_/x",
        "unet\\alpha",
        "1/2 or images/s",
        "s/epoch 3.5",
        "2026-11-27T22:56:12.839Z",
        "",
    ],
)
def test_other_texts_stay(text: str) -> None:
    assert MachineTraces().in_text(text) == text
    assert not is_absolute(text)
    assert keys_of_paths({"a": [text]}) == []


def test_known_paths_with_spaces_are_found_inside_of_texts() -> None:
    traces = MachineTraces(paths=["/home/my name", "/home/my name/pets"])
    assert traces.in_text("in /home/my name/pets and /home/my name/x") == "in pets and my name/x"


def test_a_message_names_no_host_but_keeps_words_that_hold_its_name() -> None:
    traces = MachineTraces(hosts=["vm", "", "node.3"])
    assert traces.in_message("run by 12 on vm, not on vm2 or node.3") == (
        "run by 12 on host, not on vm2 or host"
    )
    assert MachineTraces(hosts=[""]).in_message("on vm") == "on vm"


def test_nested_data_keep_their_keys() -> None:
    tree = {"hostname": "vm", "n": 3, "a": [{"host": "vm", "pid": 12}, "/x/y", None, 0.5]}
    assert hosts_in(tree) == {"vm"}
    assert paths_in(tree) == {"/x/y"}
    assert keys_of_paths(tree) == [("a", "1")]
    assert MachineTraces().in_tree(tree) == {
        "hostname": None,
        "n": 3,
        "a": [{"host": None, "pid": None}, "y", None, 0.5],
    }


def test_with_value_changes_a_copy() -> None:
    tree = {"a": [{"b": 1}, 2], "c": 3}
    assert with_value(tree, ("a", "0", "b"), 9) == {"a": [{"b": 9}, 2], "c": 3}
    assert with_value(tree, ("c",), 9) == {"a": [{"b": 1}, 2], "c": 9}
    assert tree == {"a": [{"b": 1}, 2], "c": 3}
