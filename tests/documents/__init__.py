"""The pages of docs as a reader uses them: their blocks, and what their commands do when they are typed."""

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from commands import TIMEOUT, fork_server

DOCS = Path(__file__).parents[2] / "docs"
_BLOCK = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
_COMMAND = re.compile(
    # After a prompt, the times of cron, a variable, a folder.
    r"(?:\$ )?(?:(?:[\d*/-]+ ){5} *)?(?:[A-Z_]+=\S+ )?(?:/\S+/)?((?:ocelog|wizsim|make) .*?)(?: &)?(?:\s+#.*)?"
)
_EXIT = re.compile(r"\s+# exit code (\d+)$")
_REDIRECTED = re.compile(r"(.*?) > (\S+)$")


def blocks(page: Path, language: str) -> list[str]:
    """Return the fenced blocks of `page` in `language`."""
    return [text for name, text in _BLOCK.findall(page.read_text()) if name == language]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A command of a console block, and what the page shows of its output."""

    command: str
    shown: str
    code: int = 0


def steps(page: Path) -> list[Step]:
    """Return the commands of the console blocks of `page`, in order."""
    return [step for block in blocks(page, "console") for step in _steps(block)]


def _steps(block: str) -> Iterator[Step]:
    for piece in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        lines = piece.splitlines()
        length = next(at for at in range(1, len(lines) + 1) if _is_whole(lines[:at]))
        command = "\n".join(lines[:length])
        code = _EXIT.search(command)
        shown = "\n".join(lines[length:]).rstrip()
        yield Step(command=_EXIT.sub("", command), shown=shown, code=int(code[1]) if code else 0)


def typed_commands(block: str) -> list[str]:
    """Return the commands of `ocelog`, `wizsim` and `make` in a block, each on one line, those of cron too."""
    found, lines = [], list[str]()
    for line in block.splitlines():
        lines.append(line)
        if _is_whole(lines):
            command = _COMMAND.fullmatch(" ".join(each.removesuffix("\\").strip() for each in lines))
            # `service exec` passes on what follows it.
            found += [command[1].replace(" service exec ", " ")] if command else []
            lines = []
    return found


def _is_whole(lines: list[str]) -> bool:
    text = "\n".join(lines)
    single = re.sub(r'"[^"]*"|\s#.*', "", text).count("'")
    return not text.endswith("\\") and text.count('"') % 2 == 0 and single % 2 == 0


@dataclass(slots=True, kw_only=True)
class Shell:
    """What types the commands of a page, in a folder of its own.

    Commands of `ocelog` run as forks of one process, on a terminal that has no colours; `replaced` texts of the page
    stand for others here, such as a port that is free.
    """

    folder: Path
    replaced: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(init=False)
    _background: "list[subprocess.Popen[str]]" = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        here = str(Path(sys.executable).parent)
        more = {"PATH": f"{here}:{os.environ['PATH']}", "COLUMNS": "80", "LINES": "60", "TERM": "dumb", "PAGER": "cat"}
        self.environment = os.environ | more | {"PWD": str(self.folder)}

    def type(self, step: Step) -> str:
        """Run the command of `step`, and return what it printed, in the words of the page; it must end as said."""
        command = step.command
        for theirs, ours in self.replaced.items():
            command = command.replace(theirs, ours)
        code, printed = self._run(command)
        assert "Traceback" not in printed, printed
        assert code == step.code, f"{command}\nended with {code}:\n{printed}"
        for theirs, ours in [*self.replaced.items(), ("/home/you/ocelog", str(self.folder))]:
            printed = printed.replace(ours, theirs)
        return "\n".join(line.rstrip() for line in printed.splitlines()).strip("\n")

    def _run(self, command: str) -> tuple[int, str]:
        if command.startswith("export "):
            name, _, value = command.removeprefix("export ").partition("=")
            (self.environment[name],) = self._words(value)
            return 0, ""
        if command == "kill %1":
            self.end()
            return 0, ""
        if command.endswith(" &"):
            return 0, self._start(command.removesuffix(" &"))
        if command.startswith("ocelog "):
            redirected = _REDIRECTED.fullmatch(command)
            if redirected is None:
                return fork_server().on_a_terminal(
                    self._words(command)[1:], environment=self.environment, folder=self.folder, timeout=TIMEOUT
                )
            done = fork_server().run(
                self._words(redirected[1])[1:], environment=self.environment, stdin="", timeout=TIMEOUT
            )
            (self.folder / redirected[2]).write_text(done.stdout)
            return done.returncode, done.stderr
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        return done.returncode, done.stdout

    def _words(self, command: str) -> list[str]:
        """Return the words of `command` as a shell passes them on."""
        printed = subprocess.run(
            ["bash", "-c", f"printf '%s\\0' {command}"],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return printed.stdout.split("\0")[:-1]

    def _start(self, command: str) -> str:
        """Start a command that keeps running, and return what it says until it is ready: five lines."""
        process = subprocess.Popen(
            shlex.split(command),
            cwd=self.folder,
            env=self.environment | {"PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._background.append(process)
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(5)]
        return "".join(sorted(lines, key=lambda line: line.startswith("admin")))

    def end(self) -> None:
        """End what keeps running."""
        for process in self._background:
            process.send_signal(signal.SIGTERM)
            assert process.stdout is not None
            process.stdout.close()
            process.wait(TIMEOUT)
        self._background.clear()


@contextmanager
def shell(folder: Path, replaced: dict[str, str]) -> Iterator[Shell]:
    """Give a shell within the block."""
    made = Shell(folder=folder, replaced=replaced)
    try:
        yield made
    finally:
        made.end()


_SHAPES = (
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\.\d+)?Z?"), "TIME"),
    (re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|\b[0-9a-f]{32}\b|^[0-9a-f]{10}(?= )"), "ID"),
    (re.compile(r"(?<=bearer )\S+"), "TOKEN"),
    (re.compile(r"\b\d+[smhd]( \d+[smhd])*\b"), "DURATION"),
    (re.compile(r"[\d.,]*\d"), "0"),
    (re.compile(r"\b(ahead of|behind)\b"), "beside"),
    (re.compile(r"[-─━]{2,}"), "-"),
    (re.compile(r"\s+"), " "),
)


def shape(line: str) -> str:
    """Return `line` without what differs from run to run: numbers, times, ids, widths."""
    for pattern, instead in _SHAPES:
        line = pattern.sub(instead, line)
    return line.strip()


def differing(shown: str, printed: str) -> str | None:
    """Return the first line in which `printed` has another shape than `shown`, None if there is none.

    A line of three dots in `shown` stands for any lines.
    """
    lines = printed.splitlines()
    shapes = [shape(line) for line in lines]
    at = 0
    parts = [part.strip("\n").splitlines() for part in re.split(r"^\.\.\.$", shown, flags=re.MULTILINE)]
    for number, part in enumerate(parts):
        wanted = [shape(line) for line in part]
        # The first part stands at the beginning and the last at the end, any other anywhere between.
        last = len(lines) - len(part)
        places = [0] if number == 0 else [last] if number == len(parts) - 1 and part else range(at, last + 1)
        place = next((each for each in places if each >= at and shapes[each : each + len(part)] == wanted), None)
        if place is None:
            rest = shapes[at:]
            return next((line for line in part if shape(line) not in rest), part[0] if part else "")
        at = place + len(part)
    open_ended = len(parts) > 1 and not parts[-1]
    return None if open_ended or at == len(lines) else lines[at]
