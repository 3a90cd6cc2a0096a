"""What short commands cost: seconds of CPU, children included, the best of five."""

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tenant import tenant

OCELOG = str(Path(sys.executable).with_name("ocelog"))
WANTED = {
    "ocelog --help": (["--help"], None),
    'ocelog query "select 1"': (["query", "select 1"], 0.35),
    'ocelog query "select count(*) from wiz_issues"': (["query", "select count(*) from wiz_issues"], None),
    "ocelog status": (["status"], 0.35),
    "completion of ocelog status": (None, 0.3),
}
"""What is run (None: as a shell asks for completions), and what it may cost."""


def cpu_seconds(arguments: Sequence[str] | None, environment: Mapping[str, str]) -> float:
    """Return what the cheapest of five runs took, of all its processes together."""
    asked = {"_OCELOG_COMPLETE": "complete_bash", "COMP_WORDS": "ocelog status ", "COMP_CWORD": "2"}
    found = list[float]()
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [OCELOG, *(arguments or ())],
            env={**environment, **({} if arguments else asked)},
            stdout=subprocess.DEVNULL,
            check=False,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        found.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(found)


def main() -> None:
    """Make a home with one small table, and print what each command costs in it."""
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"OCELOG_HOME": str(Path(folder) / "home")}
        with tenant(findings=2_000) as where:
            add = ["source", "add", "wiz", "bench", "--token-url", where["TOKEN_URL"], "--api-url", where["API_URL"]]
            add += ["--client-id", where["CLIENT_ID"], "--client-secret-file", "-"]
            secret = where["CLIENT_SECRET"] + "\n"
            for command in (["init"], add, ["pull"]):
                subprocess.run(
                    [OCELOG, *command], env=environment, input=secret, text=True, check=True, capture_output=True
                )
        for name, (arguments, allowed) in WANTED.items():
            taken = cpu_seconds(arguments, environment)
            print(f"{taken:6.2f} s  {name}{'' if allowed is None else f' (at most {allowed} s)'}")


if __name__ == "__main__":
    main()
