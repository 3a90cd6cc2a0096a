"""Run the rules that others use, and ours, on the worlds of the simulation; write the table of docs/reliability.md.

python scripts/reliability.py [SEEDS]
"""

import os
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- rivals: written by scripts/reliability.py -->", "<!-- rivals: end -->"
sys.path.insert(0, str(ROOT / "tests"))

from simulation.rivals import RULES, Outcome, play, play_ours  # noqa: E402 - the tests' folder must be found first


def seed_outcomes(seed: int) -> dict[str, Outcome]:
    """Return what each rule, and Ocelog, comes to in the world of `seed`."""
    found = {rule.title: play(rule, seed) for rule in RULES.values()}
    return {"Ocelog": play_ours(seed), **found}


def table(seeds: int) -> str:
    """Return the table over that many seeds as Markdown."""
    totals: dict[str, Outcome] = {}
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for outcomes in pool.map(seed_outcomes, range(seeds), chunksize=4):
            for title, outcome in outcomes.items():
                totals.setdefault(title, Outcome()).add(outcome)
    why = {rule.title: rule.why for rule in RULES.values()}
    lines = [
        f"In {seeds} worlds:",
        "",
        "| rule | worlds wrong | records lost | versions lost | doubles | wrong now | never ends | reported | why |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for title, each in totals.items():
        figures = (each.seeds, each.lost, each.versions, each.doubles, each.wrong, each.stuck, each.told)
        lines.append(f"| {title} | {' | '.join(map(str, figures))} | {why.get(title, 'the rules of this program')} |")
    return "\n".join(lines)


def main() -> int:
    """Write the table into the page."""
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n{table(seeds)}\n{END}{after}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
