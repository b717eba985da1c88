from __future__ import annotations

import math

import numpy as np
import pytest
from matplotlib.figure import Figure

from bench.report.search.figures import contour as search_contour
from bench.report.search.figures import draw_all as search_all
from bench.report.search.figures import history as search_history
from bench.report.search.figures import pareto_front as search_front
from bench.report.search.figures.look import frame_for, seen
from bench.report.search.figures.parallel import ABSENT, draw_parallel, parallel_data
from bench.report.search.figures.slices import draw_importances, draw_slice, slice_data
from bench.report.search.search_record import ObjectiveRecord
from tests.builders.search_records import SPACE, point, read, record, two_objectives

UP = ObjectiveRecord(metric="best_val_dice", direction="max")
DOWN = ObjectiveRecord(metric="macs", direction="min")


def new_ax():
    return Figure(figsize=(4, 3)).subplots()


def offsets(ax):
    return [tuple(xy) for c in ax.collections for xy in np.asarray(c.get_offsets()).tolist()]


def test_a_frame_shows_all_but_far_worse_values():
    few = frame_for([0.0, 0.5, 1.0], UP)
    assert few.low < 0 < 1 < few.high
    many = [0.9 + 0.001 * k for k in range(40)] + [0.0] * 5
    frame = frame_for(many, UP)
    # best 0.939, median of the 45 at place 22: 0.917; 3 · 0.022 below the best is the end
    assert frame.low == pytest.approx(0.939 - 3 * 0.022 - 0.06 * 3 * 0.022)
    assert [frame.outside(v) for v in (0.0, 0.9, 0.939)] == [True, False, False]
    assert frame_for([-v for v in many], DOWN).high == pytest.approx(-frame.low)
    assert frame_for(many, UP, also=[0.2]).low < 0.2


def test_every_point_is_in_the_history_as_what_it_is(tmp_path):
    search = read(tmp_path)
    shown = seen(search, UP)
    ax = new_ax()
    search_history.draw_history(ax, search, UP, shown)
    places = offsets(ax)
    assert {(0, 0.6), (1, 0.5), (2, 0.8), (3, 0.4), (6, 0.8)} <= set(places)
    steps = next(line for line in ax.lines if line.get_drawstyle() == "steps-post")
    assert steps.get_xydata().tolist() == [[0, 0.6], [2, 0.8], [6, 0.8]]
    diamond = next(line for line in ax.lines if line.get_marker() == "D")
    assert diamond.get_ydata() == pytest.approx([0.7])
    assert search_history.without_value(shown) == {"failed": [5], "infeasible": [4]}


def test_a_slice_has_the_points_that_have_the_dimension(tmp_path):
    search = read(tmp_path)
    found = slice_data(search, UP, "train.momentum")
    assert found[["number", "x"]].to_numpy().tolist() == [[1, 0.9], [5, 0.9]]
    spread = slice_data(search, UP, "train.optimizer")
    assert (spread["x"].round() == [0, 1, 0, 0, 0, 1, 0]).all()
    ax = new_ax()
    draw_slice(ax, search, UP, "train.momentum", frame_for([0.5, 0.8], UP))
    assert ax.get_title(loc="right") == "5 of 7 have none"
    logarithmic = new_ax()
    draw_slice(logarithmic, search, UP, "train.lr", frame_for([0.5, 0.8], UP))
    assert logarithmic.get_xscale() == "log"


def test_importances_have_their_ranges(tmp_path):
    ax = new_ax()
    draw_importances(ax, read(tmp_path), UP)
    assert ax.get_yticklabels()[0].get_text() == "train.lr"
    assert [list(line.get_xdata()) for line in ax.lines[:2]] == [[0.4, 0.7], [0.6]]


def test_parallel_coordinates_by_hand(tmp_path):
    search = read(tmp_path)
    shares = parallel_data(search)
    assert shares[0, :3] == pytest.approx([0.5, 0.5, 0.0])
    assert shares[1, :4] == pytest.approx([1.0, 0.0, 1.0, 1.0])
    assert math.isnan(shares[0, 3])
    assert np.isnan(shares[3:6, 4]).all()
    ax = new_ax()
    draw_parallel(ax, search)
    paths = [path.vertices for c in ax.collections for path in c.get_paths()]
    assert sorted(len(path) for path in paths) == [4, 4, 4, 5, 5, 5, 5]
    assert sum(path[3, 1] == ABSENT for path in paths) == 5


def test_the_surface_is_a_local_mean_and_blank_where_nothing_was_tried():
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0, 0.5, 200), rng.uniform(0, 1, 200)
    at = np.linspace(0, 1, 11)
    found = search_contour.surface(x, y, np.full(200, 3.0), at)
    assert found[:, 2] == pytest.approx(np.full(11, 3.0))
    assert np.isnan(found[:, 10]).all()
    sloped = search_contour.surface(x, y, x, at)
    assert sloped[5, 1] < sloped[5, 2] < sloped[5, 4]


def test_the_front_and_points_that_were_never_trained(tmp_path):
    search = read(tmp_path, two_objectives())
    data = search_front.front_data(search, DOWN, UP)
    assert data[["number", "x", "y", "member"]].to_numpy().tolist() == [
        [0, 1e9, 0.6, True], [1, 2e9, 0.5, False], [2, 4e9, 0.8, True],
    ]  # fmt: skip
    ax = new_ax()
    search_front.draw_pair(ax, search, DOWN, UP)
    steps = next(line for line in ax.lines if line.get_drawstyle() == "steps-post")
    assert steps.get_xydata().tolist() == [[1e9, 0.6], [4e9, 0.8]]
    edge = [xy for xy in offsets(ax) if xy[1] == 0.015]
    assert [x for x, _ in edge] == [pytest.approx(min(6e9, ax.get_xlim()[1])), 3e9]


def names(search):
    return [
        drawing.name.removeprefix("search_") for drawing in search_all.draw_search(search, None)
    ]


def test_the_set_of_figures(tmp_path, monkeypatch):
    monkeypatch.setattr(Figure, "savefig", lambda *_, **__: None)  # what there is, not how it looks
    one = ["history", "importances", "slices", "contour", "parallel", "curves"]
    assert names(read(tmp_path)) == one
    assert names(read(tmp_path / "t", two_objectives())) == [
        "history", "front", "slices", "parallel", "curves",
    ]  # fmt: skip
    nothing = record(trials=[], front=[], chosen=[], confirmations=[], importances={})
    assert names(read(tmp_path / "n", nothing)) == []
    failed = record(trials=[point(0, "failed")], front=[], chosen=[], confirmations=[],
                    importances={})  # fmt: skip
    assert names(read(tmp_path / "f", failed)) == ["history"]
    space = {"train.lr": SPACE["train.lr"]}
    single = [point(k, value=k / 10, params={"train.lr": 1e-3}) for k in range(3)]
    only = record(space=space, trials=single, importances={}, constraints=[])
    assert names(read(tmp_path / "s", only)) == ["history", "slices"]


def test_hundreds_of_points_of_ten_dimensions(tmp_path):
    """All equal in one label, ten decades, two choices that matter most: every figure is drawn."""
    rng = np.random.default_rng(0)
    labels = {"choice": {f"a_rather_long_label_{k}": k for k in range(12)}}
    space = {f"group.dimension_{k}": {"float": [1e-8, 1e2], "log": True} for k in range(8)}
    space |= {"model": labels, "augment": {"choice": {"none": [], "all": []}}}
    points = []
    for k in range(400):
        params = {name: float(10 ** rng.uniform(-8, 2)) for name in list(space)[:8]}
        params |= {"model": f"a_rather_long_label_{k % 12}", "augment": "none"}
        state = "pruned" if k % 5 == 4 else "complete"
        value = float(rng.normal()) if state == "complete" else None
        points.append(point(k, state, value, params=params, intermediate={"1": 0.1, "2": 0.2}))
    shares = {name: {"mean": 0.5, "low": 0.1, "high": 0.9} for name in ("model", "augment")}
    made = record(trials=points, space=space, constraints=[], front=[0], chosen=[0],
                  confirmations=[], importances={UP.metric: shares})  # fmt: skip
    drawings = search_all.draw_search(read(tmp_path, made), None)
    assert [d.name for d in drawings][3] == "search_contour"
    assert sum(len(page.svg) for d in drawings for page in d.pages) < 3e6
