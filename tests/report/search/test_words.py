from __future__ import annotations

from bench.report.search.words import search_headline, states_words
from tests.builders.search_records import CONFIRMED, POINTS, point, read, record, two_objectives


def test_the_search_s_figure_is_shown_with_the_confirmed_one(tmp_path):
    found = search_headline(read(tmp_path))
    # 0.70 ± 4.3027 · 0.02 / √3
    assert found.title == (
        "Point 2 was chosen: best val Dice 0.800 in the search, 0.700 [0.650, 0.750] with fresh "
        "seeds."
    )
    text = " ".join(found.sentences)
    assert "0.800 is the highest of 3 complete points, all with seed 0" in text
    assert "this figure is optimistic" in text
    assert "0.100 lower than in the search; the search’s figure lies outside of" in text
    assert "On the test split, which is read for what was chosen only: Dice 0.600" in text
    assert "The next best, point 0, has 0.600, 0.200 behind. Nothing was tested" in text


def test_missing_seeds_are_counted(tmp_path):
    one = CONFIRMED | {"confirmed": {"1": {"best_val_dice": 0.8}}}
    text = " ".join(search_headline(read(tmp_path, record(confirmations=[one]))).sentences)
    assert "with 1 fresh seed (2 of 3 are missing) it reaches 0.800, as much as" in text
    assert "test split" not in text


def test_nothing_is_confirmed(tmp_path):
    found = search_headline(read(tmp_path, record(confirmations=[], confirm_seeds=[])))
    assert found.title == "Point 2 was chosen, with best val Dice 0.800 in the search."
    assert "so nothing confirms it" in " ".join(found.sentences)


def test_a_search_that_is_not_over(tmp_path):
    open_yet = record(over=False, chosen=[], confirmations=[], trials_wanted=20)
    found = search_headline(read(tmp_path, open_yet))
    assert found.title.startswith("The search is not over: point 2 is the best so far, with")
    assert found.sentences[-1].startswith("7 of 20 points tried: 4 complete, 1 pruned, 1 infeas")


def test_no_point_came_to_its_end(tmp_path):
    nothing = record(trials=[point(0, "failed")], front=[], chosen=[], confirmations=[])
    assert search_headline(read(tmp_path, nothing)).title == "No point has come to its end."


def test_reused_points_are_reported_and_not_counted_twice(tmp_path):
    search = read(tmp_path)
    assert states_words(search).endswith(
        "1 of them equal to an earlier point, and not trained again."
    )
    only = read(tmp_path / "o", record(trials=[POINTS[2]]))
    assert "is of the only complete point" in search_headline(only).sentences[1]


def test_of_several_objectives_each_chosen_point_is_reported(tmp_path):
    found = search_headline(read(tmp_path, two_objectives()))
    assert found.title == (
        "2 of 3 complete points are on the front of best val Dice and MACs; 2 were chosen."
    )
    assert found.sentences[0].endswith("best val Dice 0.800, MACs 4.00 G in the search; not "
                                       "confirmed.")  # fmt: skip
    assert "MACs 1.00 G in the search; best val Dice 0.500 with 1 fresh seed." in found.sentences[1]
    assert "luckiest" in found.sentences[2]
