"""An experiment's figures, drawn when the first of them is asked for."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from html import escape
from pathlib import Path

from bench.analysis.arm_summary import arm_summary
from bench.analysis.arms import arms_of
from bench.analysis.explored import explore
from bench.analysis.hypotheses import HypothesisOutcome
from bench.analysis.records import Records
from bench.report.figures import Drawing, ExperimentData, draw_all
from bench.report.search.figures.draw_all import draw_search
from bench.report.search.search_record import SearchRecord
from bench.report.search.sections import subject_records
from bench.report.tables.ablation import ablation_view
from bench.report.tables.effects import all_effect_tables
from bench.texts import visible


class Figure:
    """A figure of the report; a notebook shows it.

    Attributes:
        name: as its file is called.
        title: what it shows.
        caption: how to read it.
        png: its pages, each the bytes of a PNG file.
        svg: the same as SVG.
    """

    def __init__(self, drawing: Drawing) -> None:
        self.name, self.title, self.caption = drawing.name, drawing.title, drawing.caption
        self.png: tuple[bytes, ...] = tuple(page.png for page in drawing.pages)
        self.svg: tuple[bytes, ...] = tuple(page.svg for page in drawing.pages)
        self._drawing = drawing

    def __repr__(self) -> str:
        return f"<Figure {self.name}: {self.title}>"

    def save(self, folder: str | Path) -> list[Path]:
        """Write it as PNG and SVG, a file per page; returns the files."""
        from bench.atomic_files import write_bytes

        written = []
        for name, page in self._drawing.files.items():
            for ending, content in (("png", page.png), ("svg", page.svg)):
                path = Path(folder) / f"{name}.{ending}"
                path.parent.mkdir(parents=True, exist_ok=True)
                write_bytes(path, content)
                written.append(path)
        return written

    def _repr_html_(self) -> str:
        images = "".join(
            f'<img style="max-width: 100%" src="data:image/png;base64,{page}">'
            for page in (base64.b64encode(content).decode("ascii") for content in self.png)
        )
        title, caption = escape(visible(self.title)), escape(visible(self.caption))
        return f"<figure><b>{title}</b><br>{images}<figcaption>{caption}</figcaption></figure>"


class Figures(Mapping[str, Figure]):
    """The figures that the records have something to show in, by name, in the report's order."""

    def __init__(
        self,
        records: Records,
        tested: Sequence[HypothesisOutcome],
        search: SearchRecord | None = None,
    ) -> None:
        self._records, self._tested, self._search = records, tested, search

    @cached_property
    def _drawn(self) -> dict[str, Figure]:
        tested, search = self._tested, self._search
        if search is None:
            records, effects = self._records, all_effect_tables(self._records, tested)
        else:
            records, effects = subject_records(self._records, search), []
        has_design = search is None and records.design is not None
        ablation = ablation_view(records, explore(records, tested)) if has_design else None
        arms = arms_of(records)
        data = ExperimentData(records, arm_summary(records), arms, tested, effects, ablation)
        drawings = draw_all(data) if search is None else draw_search(search, data)
        return {drawing.name: Figure(drawing) for drawing in drawings}

    def __getitem__(self, name: str) -> Figure:
        return self._drawn[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._drawn)

    def __len__(self) -> int:
        return len(self._drawn)

    def __repr__(self) -> str:
        return f"<Figures {', '.join(self)}>"

    def _repr_html_(self) -> str:
        return "".join(figure._repr_html_() for figure in self.values())
