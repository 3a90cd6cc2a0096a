"""Which folders of rules there are, and what was decided or found about what is in them: the values."""

import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from msgspec import Struct, field

from ocelog.detect.roots import find_root

_PLACE = re.compile(r"[^\s:]+\.py:[0-9]+: ")
_PLACE_AT_END = re.compile(r"(.*)\(([^()]+\.py:[0-9]+)\)", re.DOTALL)


class RuleFolder(Struct, frozen=True, kw_only=True):
    """A folder or checkout of rules that is judged by."""

    id: str
    name: str
    path: str
    """Absolute."""
    network: bool = False
    """Whether its Python may use the network."""
    unprotected: bool = False
    """Whether its Python runs also if this machine cannot confine it (`--unsafe`)."""
    packs: Mapping[str, bool] = field(default_factory=dict)
    """Packs that a person turned on or off; of the others each rule's file decides."""
    added_us: int = 0

    @property
    def is_built_in(self) -> bool:
        """Whether it comes with Ocelog."""
        return self.id == BUILT_IN.id

    def named_error(self, message: str) -> str:
        """Return what a rule raised, with the file at its end or its beginning `named`."""
        found = _PLACE_AT_END.fullmatch(message)
        if found is not None:
            return f"{found[1]}({self.named(found[2])})"
        return self.named(message) if _PLACE.match(message) else message

    def named(self, reason: str) -> str:
        """Return `reason`, which opens with a file as its checkout names it, as people hear of it.

        They may be on another machine: the file is named from this folder, or by its whole path if it lies elsewhere in
        the checkout.
        """
        path = Path(self.path)
        try:
            root = find_root(path)
            inside = path.resolve().relative_to(root).as_posix()
        except (OSError, ValueError):
            return f"{self.name}/{reason}"
        if inside == ".":
            return f"{self.name}/{reason}"
        if reason.startswith(f"{inside}/"):
            return f"{self.name}{reason.removeprefix(inside)}"
        return f"{root}/{reason}"


BUILT_IN = RuleFolder(id="wiz", name="wiz", path=str(files("ocelog.content").joinpath("rules", "wiz")))
"""The rules that come with Ocelog: always there, before all others."""


class RuleState(Struct, frozen=True, kw_only=True):
    """What a person decided about a rule, or its failures brought about."""

    rule_id: str
    enabled: bool | None = None
    """None: nobody decided; packs and the rule's file do."""
    suspended_us: int | None = None
    """Since when it is not asked, as it kept failing; None: it is asked."""
    reason: str = ""
    """Why it is suspended."""


class RuleFailures(Struct, frozen=True, kw_only=True):
    """How a rule that is asked has failed in its last batches."""

    revision: str
    """By which it judged them."""
    spent: int = 0
    """A bit for each of the last batches, the newest the lowest: whether the rule used up what it may take."""
    failed: int = 0
    """In how many batches one after the other it failed on every event, up to the last."""


RULE_FILES = "RULE_FILES"
"""By which rule the alert about the files of a folder is found."""


class RuleTrouble(Struct, frozen=True, order=True, kw_only=True):
    """Why the process that judges does not judge by the files of a folder, or of a rule, as they are."""

    folder_id: str
    rule_id: str
    """Or the name of a file of rules that does not read; empty: it is about the folder."""
    reason: str
    """Opens with `file:line`, unless it is about the folder."""

    def told(self, folder: RuleFolder) -> str:
        """Return it as people hear of it who may be on another machine: a file is named from its folder."""
        return folder.named(self.reason) if self.rule_id else self.reason

    def placed(self, folder: RuleFolder, root: Path | None = None) -> str:
        """Return what is wrong with a file as a person on this machine finds it: by its whole path.

        `root` is where the checkout of the folder begins, for whoever knows: else the disk is asked.
        """
        if not self.rule_id:
            return self.reason
        if root is not None:
            return f"{root}/{self.reason}"
        try:
            return f"{find_root(Path(folder.path))}/{self.reason}"
        except OSError:
            return f"{folder.path}/{self.reason}"
