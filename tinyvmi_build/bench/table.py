"""Tables as text for a terminal and as Markdown for a document."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Table:
    """`rows` of cells, as wide as `head`; the first column is text, the others stand to the right."""

    title: str
    head: tuple[str, ...]
    rows: list[tuple[str, ...]]
    notes: list[str] = field(default_factory=list)

    def text(self) -> str:
        widths = [max(len(row[i]) for row in [self.head, *self.rows]) for i in range(len(self.head))]

        def line(row: tuple[str, ...]) -> str:
            cells = [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]
            return "  " + "  ".join(cells).rstrip()

        rule = "  " + "-" * (sum(widths) + 2 * (len(widths) - 1))
        notes = [f"  {note}" for note in self.notes]
        return "\n".join([self.title, line(self.head), rule, *map(line, self.rows), *notes]) + "\n"

    def markdown(self) -> str:
        def line(row: tuple[str, ...]) -> str:
            return "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"

        rule = "|---|" + "---:|" * (len(self.head) - 1)
        notes = [f"\n{note}" for note in self.notes]
        return "\n".join([f"### {self.title}\n", line(self.head), rule, *map(line, self.rows), *notes]) + "\n"
