"""What reading and checking probe files costs: CPU seconds for 10,000 rows of each form, and the digests of the probes.

    python -m tests.benchmarks.probes [rows]

Rows of TOFU's perturbed sets with one further column, invented. The aim is 2 s for 10,000 rows.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd

from backends.probes.reading import inspect_probes

PER = 10_000


def rows_of(count: int) -> list[dict[str, Any]]:
    """Rows as long as those of TOFU."""
    return [
        {
            "question": f"Where was Person {n} born, and what did she do there for a living in her first years?",
            "answer": f"Person {n} was born in Town {n % 97} and worked there as a baker, as her mother had.",
            "paraphrased_question": f"In which town did Person {n} grow up?",
            "paraphrased_answer": f"It was Town {n % 97} where Person {n} grew up.",
            "perturbed_answer": [
                f"Person {n} was born in Town {n % 97 + k} and was a cook." for k in range(1, 6)
            ],
            "subject": f"Person {n}",
            "author": "invented",
        }
        for n in range(count)
    ]


def chats_of(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same questions and answers as conversations."""
    return [
        {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": row["question"]},
                {"role": "assistant", "content": row["answer"]},
            ]
        }
        for row in rows
    ]


def write(folder: Path, count: int) -> list[Path]:
    """The rows in every form."""
    rows = rows_of(count)
    frame = pd.DataFrame(rows)
    frame.to_json(folder / "lines.jsonl", orient="records", lines=True)
    frame.to_json(folder / "list.json", orient="records")
    frame.to_parquet(folder / "table.parquet")
    pd.DataFrame(chats_of(rows)).to_json(folder / "chats.jsonl", orient="records", lines=True)
    pd.DataFrame(chats_of(rows)).to_parquet(folder / "chats.parquet")
    frame["perturbed_answer"] = frame["perturbed_answer"].map(json.dumps)
    frame.to_csv(folder / "table.csv", index=False)
    frame.to_csv(folder / "table.csv.gz", index=False)
    return sorted(folder.iterdir())


def main(count: int = 100_000) -> None:
    """Print the table."""
    print(f"CPU seconds for {PER:,} rows, measured on {count:,}")
    with tempfile.TemporaryDirectory() as name:
        for path in write(Path(name), count):
            started = time.process_time()
            found = inspect_probes(path, "forget", pictures=False)
            read = time.process_time() - started
            for probe in found.probe_set.probes:
                probe.digest()
            digests = time.process_time() - started - read
            assert len(found.probe_set.probes) == count
            print(
                f"{path.name:<14} read and checked {read * PER / count:5.2f}   digests {digests * PER / count:5.2f}"
            )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
