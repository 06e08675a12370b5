"""The documents that are tested, and what stands in them."""

from __future__ import annotations

import re
from pathlib import Path

from app.cli.show import EXAMPLES

ROOT = Path(__file__).parents[2]
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
}
DOCUMENTS = [*PAGES.values(), EXAMPLES]
STUDY_FILE, UNLEARNING = PAGES["docs/study-file.md"], PAGES["docs/unlearning.md"]


def blocks(language: str, page: str) -> list[str]:
    """The code blocks of a language on a page."""
    return re.findall(rf"```{language}\n(.*?)```", page, flags=re.DOTALL)


def example_of_attack() -> str:
    """The attack that `docs/robustness.md` shows, as it is imported from a checkout."""
    return blocks("python", PAGES["docs/robustness.md"])[0].replace("from unlearnboard.", "from ")


def commands(texts: list[str] = DOCUMENTS) -> list[str]:
    """Lines that are commands, in the order in which they stand, each once."""
    lines = [line.strip() for text in texts for line in text.replace("\\\n", " ").splitlines()]
    return list(
        dict.fromkeys(line for line in lines if re.match(r"(\.venv/bin/|make |unlearnboard( |$))", line))
    )
