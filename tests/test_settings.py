from __future__ import annotations

from bench.settings import Settings, added_later, machine_local


class Before(Settings):
    size: int = 4
    root: str = machine_local("here")


class After(Before):
    page: int | None = added_later(None)
    exif: str = added_later("apply")


def test_an_added_field_is_no_part_of_the_identity_at_its_default():
    assert After(exif="apply").identity() == Before().identity() == {"size": 4}


def test_an_added_field_counts_where_it_says_something_else():
    assert After(page=3).identity() == {"size": 4, "page": 3}


class Nested(Settings):
    part: After = After()


def test_the_same_holds_inside_of_other_settings():
    assert Nested().identity() == {"part": {"size": 4}}
    assert Nested(part=After(exif="ignore")).identity() == {"part": {"size": 4, "exif": "ignore"}}
