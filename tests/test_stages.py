"""How far something is: told where it is done, shown on a terminal only."""

from __future__ import annotations

import io

from rich.console import Console

from bench.run.stage_bar import stage_bar
from bench.stages import each, tell, told_to


def test_each_part_is_told_before_it_is_done_and_the_end() -> None:
    told: list[tuple[str, int, int]] = []
    with told_to(lambda *said: told.append(said)):
        assert list(each("figures", ["a", "b"])) == ["a", "b"]
    assert told == [("figures", 0, 2), ("figures", 1, 2), ("figures", 2, 2)]
    tell("figures", 0, 1)  # nobody listens any more
    assert len(told) == 3


def shown(terminal: bool) -> str:
    text = io.StringIO()
    console = Console(file=text, force_terminal=terminal, width=80, height=24, color_system=None)
    with stage_bar(console):
        for _ in each("drawing figures", range(3)):
            pass
    return text.getvalue()


def test_a_terminal_has_a_bar_with_the_time_left() -> None:
    text = shown(terminal=True)
    assert "drawing figures" in text
    assert "3/3" in text
    assert "left" in text
    assert max(map(len, text.replace("\x1b[2K", "").splitlines())) <= 90  # escapes apart


def test_a_log_has_no_control_characters_of_it() -> None:
    assert shown(terminal=False) == ""
