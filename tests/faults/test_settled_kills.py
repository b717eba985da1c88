"""The short form; the long one is `python -m tests.faults.settled_kills`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.settled_kills import differences


@pytest.mark.slow
@pytest.mark.timeout(1500)  # four runs of about ten trials each
def test_killed_or_shared_a_study_that_repeats_seeds_has_the_same_verdicts(tmp_path: Path) -> None:
    assert differences(tmp_path, kills=2, seed=1, epochs=1, most=4, shared=True) == []


@pytest.mark.long
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("study", ["path", "folds"])
def test_killed_another_kind_of_study_has_the_same_verdicts(study: str, tmp_path: Path) -> None:
    assert differences(tmp_path, kills=2, seed=2, epochs=1, most=4, study=study) == []
