"""looks.json: what was decided round by round. A log: what the records say counts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from bench.record.store import Store


def keep_log(store: Store, experiment: str, log: Mapping[str, Any] | None) -> list[str]:
    """Write the log; returns a sentence for each look that an earlier log has otherwise."""
    if log is None:
        return []
    before = store.looks(experiment)
    changed = [
        *_other_steps(before.get("path"), log.get("path", ())),
        *_differences(before.get("taken"), log["taken"]),
    ]
    record = {**({"reports": before["reports"]} if "reports" in before else {}), **log}
    if record != before:
        store.write_looks(experiment, record)
    return [
        f"Warning: {each}. The records or the hypotheses have changed since; what they say now "
        "counts."
        for each in changed
    ]


def _differences(before: object, now: list[Mapping[str, Any]]) -> list[str]:
    """Where a look at as many seeds says another thing of the same hypothesis."""
    found = []
    for number, (old, new) in enumerate(
        zip(before if isinstance(before, list) else [], now, strict=False), start=1
    ):
        if not isinstance(old, dict) or old.get("seeds") != new["seeds"]:
            continue
        of_old = old.get("hypotheses")
        for name, said in new["hypotheses"].items():
            was = of_old.get(name) if isinstance(of_old, dict) else None
            if isinstance(was, dict) and _says(was) != _says(said):
                what = f"{name} was {_words(was)} and is {_words(said)}"
                found.append(f"look {number} ({new['seeds']} seeds) is another than before: {what}")
            elif isinstance(was, dict) and not _equal(was.get("p"), said["p"]):
                what = f"the p-value of {name} was {_number(was.get('p'))}"
                now_is = f"is {_number(said['p'])}"
                found.append(
                    f"look {number} ({new['seeds']} seeds) is another than before: {what} and "
                    f"{now_is}"
                )
    return found


def _other_steps(before: object, now: Sequence[Mapping[str, Any]]) -> list[str]:
    """Where a step of a path took another component on the same seeds."""
    for number, (old, new) in enumerate(
        zip(before if isinstance(before, list) else [], now, strict=False), start=1
    ):
        if not isinstance(old, dict) or old.get("taken") is None:
            break
        if (old.get("seeds"), old.get("state")) != (new["seeds"], new["state"]):
            break
        if old["taken"] != new["taken"]:
            return [f"step {number} of the path took {old['taken']} and takes {new['taken']}"]
    return []


def _says(said: Mapping[str, Any]) -> tuple[Any, Any]:
    return said.get("state"), said.get("claim")


def _words(said: Mapping[str, Any]) -> str:
    return " ".join(str(part) for part in _says(said) if part is not None)


def _equal(one: object, other: object) -> bool:
    if isinstance(one, float | int) and isinstance(other, float | int):
        return math.isclose(one, other, rel_tol=1e-6)
    return one == other


def _number(value: object) -> str:
    return f"{value:.2g}" if isinstance(value, float | int) else "none"
