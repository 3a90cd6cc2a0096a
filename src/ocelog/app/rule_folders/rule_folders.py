"""Folders of rules: registered, listed, and which of their rules run."""

import os
import shlex
import stat
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from uuid import uuid4

from msgspec import Struct, field
from msgspec.structs import replace

from ocelog.app.log_types import changing
from ocelog.app.rule_folders.folder_reading import goes_on_changing, read_rules, refused_rules, wait_for_rest
from ocelog.app.rule_folders.good_rules import GoodRules
from ocelog.app.rule_folders.rule_troubles import tell
from ocelog.detect.bundle import Bundle
from ocelog.detect.checking import Checked, Names
from ocelog.detect.checkout import Checkout, Problem, parse_checkout, read_checkout
from ocelog.detect.correlation import steps_in_vain
from ocelog.detect.deciding import Decided, Decision, decisions, shadowed
from ocelog.detect.folders import RuleFolder, RuleState, RuleTrouble
from ocelog.detect.rule import CorrelationRule, NotRun, Pack, Query, Rule
from ocelog.detect.unjudged import UnjudgedRows
from ocelog.errors import ConfigError, RuleFileError
from ocelog.installation.opening import Installation
from ocelog.kept_texts import kept_text
from ocelog.languages.phrases import Phrase, translatable
from ocelog.schema.language.packaged import packaged_schemas
from ocelog.secrets.secret import shown
from ocelog.suggest import suggest
from ocelog.times import from_us, rfc3339

_LONGEST_NAME = 60
_LONGEST_TEXT = 200_000
"""Bytes of a file that is shown."""


class ReadFolder(Struct, frozen=True, kw_only=True):
    """A registered folder, and what is in it now."""

    folder: RuleFolder
    checkout: Checkout | None
    """With files of its last good version in the place of those that do not read; None: there is nothing to read."""
    why: str = ""
    """Why it cannot be read."""
    is_changing: bool = False
    """Whether it was still being written when it was read."""
    last_good: Mapping[str, str] = field(default_factory=dict)
    """Rules that run in their last good version, and why."""


class ListedRule(Struct, frozen=True, kw_only=True):
    """A rule, or a scheduled query, of a folder, and whether it runs."""

    folder: RuleFolder
    root: Path
    """What the place of its file is relative to."""
    id: str
    item: Decided
    decision: Decision
    state: RuleState | None
    shadowed_by: str | None
    """The folder whose rule of this id runs instead."""
    without_source: tuple[str, ...]
    """Log types of it that no source here has."""
    packs: Mapping[str, str]
    """Ids of the packs that it is in, each with what people call it."""
    last_good: str = ""
    """Why its last good version runs; empty: it runs as its file is."""
    refused: str = ""
    """What it names that nothing has; empty: all of it is there."""
    waits_for: tuple[str, ...] = ()
    """Rules without whose matches a correlation finds nothing, and that cannot have any here."""

    @property
    def sees_nothing(self) -> bool:
        """Whether no source here has what it looks at."""
        return bool(self.waits_for or self.log_types) and len(self.without_source) == len(self.log_types)

    @property
    def kind(self) -> str:
        """What it is."""
        match self.item:
            case Rule(kind=kind):
                return str(kind)
            case CorrelationRule():
                return translatable("correlation_rule")
            case _:
                return translatable("scheduled_query")

    @property
    def title(self) -> str:
        """Its name for people; its id if it has none."""
        name = self.item.name if isinstance(self.item, Query) else self.item.about.name
        return name or self.id

    @property
    def severity(self) -> str:
        """How grave its matches are, if its file says so; empty for a query, which only finds rows."""
        return "" if isinstance(self.item, Query) else str(self.item.about.severity)

    @property
    def log_types(self) -> tuple[str, ...]:
        """What it looks at, if that is events."""
        return self.item.log_types if isinstance(self.item, Rule) else ()

    @property
    def is_suspended(self) -> bool:
        """Whether it is not asked, as it kept failing."""
        return self.state is not None and self.state.suspended_us is not None

    @property
    def status(self) -> str:
        """In a word or two whether it is asked."""
        if self.shadowed_by is not None:
            return translatable("shadowed")
        if not self.decision.runs:
            return translatable("off")
        if self.last_good:
            return translatable("last good")
        if self.refused and not self.sees_nothing:
            return translatable("refused")
        if self.is_suspended:
            return translatable("suspended")
        if self.sees_nothing:
            return translatable("no source")
        return translatable("on")

    @property
    def why(self) -> str:
        """Why it is so."""
        match self.status:
            case "shadowed":
                return Phrase(
                    "the folder %(folder)s has a rule of this id, and comes first", folder=str(self.shadowed_by)
                )
            case "last good":
                return self.last_good
            case "refused":
                return self.refused
            case "suspended":
                return self.state.reason if self.state is not None else ""
            case "no source" if self.waits_for:
                return Phrase("it needs matches of %(rule)s, which cannot have any here", rule=self.waits_for[0])
            case "no source":
                return self.refused or Phrase("no such source here")
            case "on" if isinstance(self.item, Query) and "sql" not in self.item.sql:
                return Phrase(
                    "not run unless it is plain SQL, as it is for %(engines)s", engines=", ".join(sorted(self.item.sql))
                )
            case _:
                return self.decision.why


class ListedPack(Struct, frozen=True, kw_only=True):
    """A pack of a folder, and how many of its rules run."""

    id: str
    name: str
    description: str
    folder: str
    members: tuple[str, ...]
    """Ids of rules, helpers and queries."""
    turned: bool | None
    """Whether a person turned it on or off; None: nobody has, and the files of the rules say which run."""
    rules: int
    on: int


class ListedFolder(Struct, frozen=True, kw_only=True):
    """A registered folder and its rules."""

    folder: RuleFolder
    rules: tuple[ListedRule, ...] = ()
    packs: tuple[ListedPack, ...] = ()
    not_run: tuple[NotRun, ...] = ()
    problems: tuple[str, ...] = ()
    """Files that do not read, or the folder itself."""
    unread: frozenset[str] = frozenset()
    """Rules whose file does not read, and files that do not say of which rule they are."""


class SwitchedRules(Struct, frozen=True, kw_only=True):
    """What was turned on or off."""

    rules: tuple[str, ...]
    packs: tuple[str, ...]
    living: tuple[str, ...] = ()
    """Those of them, or in these packs, whose alerts live with a record."""


def register(
    installation: Installation, path: Path, *, name: str | None = None, network: bool = False, unsafe: bool = False
) -> ListedFolder:
    """Register the rules at `path`, and return what is there. Raises ConfigError if that holds no rules."""
    root = path.expanduser().resolve()
    if not root.is_dir():
        raise ConfigError(
            Phrase("%(path)s is not a folder. Name a folder or a checkout with rules.", path=shown(str(path)))
        )
    checkout = read_checkout(root, changing())
    if not (checkout.rules or checkout.correlations or checkout.queries or checkout.problems):
        raise ConfigError(
            Phrase("There are no rules in %(path)s: no YAML file there has an `AnalysisType`.", path=shown(str(path)))
        )
    folder = RuleFolder(
        id=uuid4().hex,
        name=_checked_name(root.name if name is None else name),
        path=str(root),
        network=network,
        unprotected=unsafe,
    )
    installation.ledger.rules.add(folder)
    return next(each for each in listed(installation) if each.folder.id == folder.id)


def _checked_name(text: str) -> str:
    name = unicodedata.normalize("NFC", text.strip())
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise ConfigError(
            Phrase(
                "The name of a folder of rules is one line of 1 to %(longest_name)s characters: give --name.",
                longest_name=_LONGEST_NAME,
            )
        )
    return name


def unregister(installation: Installation, name: str) -> RuleFolder:
    """Forget a folder, and what was decided of its rules; its files stay. Raises ConfigError."""
    folder = find_folder(installation, name)
    if folder.is_built_in:
        raise ConfigError(
            Phrase(
                "The folder %(name)s comes with Ocelog and stays. Turn its rules or packs off instead.",
                name=repr(folder.name),
            )
        )
    others = set[str]()
    mine = set[str]()
    read = read_folders(installation, waits=True)
    _refuse_changing(read)
    for each in read:
        found = {rule for rule, _ in _items(each.checkout)} if each.checkout else set[str]()
        (mine if each.folder.id == folder.id else others).update(found)
    installation.ledger.rules.remove(folder.id, mine - others)
    tell(installation.ledger, folder, {})
    GoodRules(installation.home.path).forget(folder.id)
    return folder


def find_folder(installation: Installation, name: str) -> RuleFolder:
    """Return the folder of that name. Raises ConfigError with the nearest name."""
    folders = {each.name: each for each in installation.ledger.rules.folders()}
    if (found := folders.get(unicodedata.normalize("NFC", name.strip()))) is not None:
        return found
    nearest = suggest(name, folders) or Phrase(". See: ocelog rules list")
    raise ConfigError(Phrase("There is no folder of rules %(name)s%(nearest)s", name=shown(name), nearest=nearest))


def read_folders(installation: Installation, *, waits: bool = False) -> list[ReadFolder]:
    """Read every registered folder; one that cannot be read says why.

    `waits`: until those that are just being written have come to rest, for some seconds at most.
    """
    kept, troubles = GoodRules(installation.home.path), installation.ledger.rules.troubles()
    folders = installation.ledger.rules.folders()
    changing = {each.id for each in wait_for_rest(folders, kept)} if waits else set[str]()
    read = (
        _read(
            folder,
            None if folder.is_built_in else kept.read(folder.id),
            {each.rule_id for each in troubles if each.folder_id == folder.id},
        )
        for folder in folders
    )
    return [replace(each, is_changing=each.folder.id in changing) for each in read]


def _refuse_changing(folders: Iterable[ReadFolder]) -> None:
    """Raise ConfigError if a folder is still being written: which rules there are is not known."""
    if (changing := next((each.folder for each in folders if each.is_changing), None)) is not None:
        raise ConfigError(
            Phrase(
                "The files of the folder %(folder)s are still being written. Nothing was changed; try again in a few "
                "seconds.",
                folder=repr(changing.name),
            )
        )


@cache
def _of_the_program(path: str) -> Checkout:
    """Read the rules that come along, once: they change with the program only."""
    return read_checkout(Path(path), changing())


def _read(folder: RuleFolder, good: Bundle | None, troubled: Collection[str]) -> ReadFolder:
    try:
        if folder.is_built_in:
            return ReadFolder(folder=folder, checkout=_of_the_program(folder.path))
        bundle = read_rules(folder, good)
    except RuleFileError as error:
        if good is None:
            return ReadFolder(folder=folder, checkout=None, why=str(error))
        before = parse_checkout(good, changing())
        return ReadFolder(
            folder=folder, checkout=before, why=str(error), last_good={name: str(error) for name, _ in _items(before)}
        )
    checkout = parse_checkout(bundle, changing())
    if good is None or not (troubled or checkout.problems):
        return ReadFolder(folder=folder, checkout=checkout)
    changed = {file for file, content in good.files.items() if bundle.files.get(file, content) != content}
    changed |= good.files.keys() & bundle.refused.keys()
    back = {
        one.file: _trouble(folder, one).placed(folder, bundle.root) for one in checkout.problems if one.file in changed
    }
    # Only whoever judges looks whether Python reads.
    back |= {file: f"{bundle.root}/{file}: it has an error" for file in changed.intersection(troubled) - back.keys()}
    files = {**bundle.files, **{file: good.files[file] for file in back}}
    mended = parse_checkout(replace(bundle, files=files), changing())
    last_good = {
        name: back[file]
        for name, item in _items(mended)
        for file in (item.place.file, item.file if isinstance(item, Rule) else None)
        if file in back
    }
    checked = Checked()
    why = refused_rules(checkout, checked)
    if refused := why.keys() & set(troubled):
        before = parse_checkout(good, changing())
        for name in refused & (before.rules.keys() - refused_rules(before, checked).keys()):
            trouble = RuleTrouble(folder_id=folder.id, rule_id=name, reason=why[name])
            last_good[name] = trouble.placed(folder, bundle.root)
    return ReadFolder(folder=folder, checkout=replace(mended, problems=checkout.problems), last_good=last_good)


def listed(installation: Installation, *, waits: bool = False) -> list[ListedFolder]:
    """Return every folder with its rules, and of each whether it runs and why; `waits` is as in `read_folders`."""
    folders = read_folders(installation, waits=waits)
    states = installation.ledger.rules.states()
    names = Names(schemas=packaged_schemas())
    troubles = installation.ledger.rules.troubles()
    behind = shadowed([(each.folder, each.checkout) for each in folders if each.checkout is not None])
    found = [
        _listed(
            each,
            states,
            names,
            behind.get(each.folder.id, {}),
            {one.rule_id: one for one in troubles if one.folder_id == each.folder.id},
        )
        for each in folders
    ]
    if any(each.checkout is None for each in folders):
        # Nobody knows which rules are in a folder that cannot be read.
        return found
    seeing = {rule.id for folder in found for rule in folder.rules if not (rule.sees_nothing or rule.shadowed_by)}
    seeing |= {name for folder in found for name in folder.unread}
    return [replace(each, rules=tuple(_waiting(rule, seeing) for rule in each.rules)) for each in found]


def _waiting(rule: ListedRule, seeing: Collection[str]) -> ListedRule:
    """Return a rule with what it waits for in vain, if it is a correlation none of whose parts can find anything."""
    if not isinstance(rule.item, CorrelationRule):
        return rule
    found = [steps_in_vain(each, seeing) for each in rule.item.correlations]
    return replace(rule, waits_for=found[0]) if all(found) else rule


def _listed(
    read: ReadFolder,
    states: Mapping[str, RuleState],
    names: Names,
    behind: Mapping[str, str],
    troubles: Mapping[str, RuleTrouble],
) -> ListedFolder:
    """Return what is in a folder; `troubles` is what whoever judges noted at its last look, by rule."""
    checkout = read.checkout
    if checkout is None:
        return ListedFolder(folder=read.folder, problems=(read.why,))
    refused = {} if read.folder.is_built_in else refused_rules(checkout)
    decided = decisions(checkout, read.folder, states)
    packs = [(pack.id, pack.display_name or pack.id, set(pack.ids)) for pack in checkout.packs.values()]
    rules = [
        ListedRule(
            folder=read.folder,
            root=checkout.root,
            id=name,
            item=item,
            decision=decided[name],
            state=states.get(name),
            shadowed_by=behind.get(name),
            without_source=tuple(one for one in item.log_types if one not in names.schemas)
            if isinstance(item, Rule)
            else (),
            packs={pack: called for pack, called, members in packs if name in members},
            last_good=read.last_good.get(name, ""),
            refused=_refused(read.folder, checkout.root, name, refused, troubles),
        )
        for name, item in _items(checkout)
    ]
    noted = {name: one for name, one in troubles.items() if name not in refused}
    problems = [why for why in (read.why, goes_on_changing(read.folder) if read.is_changing else "") if why]
    if read.why:
        noted.pop("", None)
    problems += [
        noted.pop(one.file, noted.pop(one.id, _trouble(read.folder, one))).placed(read.folder, checkout.root)
        for one in checkout.problems
    ]
    return ListedFolder(
        folder=read.folder,
        rules=tuple(sorted(rules, key=lambda one: one.id)),
        packs=tuple(_pack(pack, read.folder, rules) for pack in checkout.packs.values()),
        not_run=checkout.not_run,
        unread=frozenset(one.id for one in checkout.problems),
        problems=tuple(dict.fromkeys([*problems, *(one.placed(read.folder, checkout.root) for one in noted.values())])),
    )


def _pack(pack: Pack, folder: RuleFolder, rules: Collection[ListedRule]) -> ListedPack:
    mine = [rule for rule in rules if pack.id in rule.packs and not isinstance(rule.item, Query)]
    return ListedPack(
        id=pack.id,
        name=pack.display_name or pack.id,
        description=pack.description,
        folder=folder.name,
        members=pack.ids,
        turned=folder.packs.get(pack.id),
        rules=len(mine),
        on=sum(rule.decision.runs for rule in mine),
    )


def _refused(
    folder: RuleFolder, root: Path, name: str, refused: Mapping[str, str], troubles: Mapping[str, RuleTrouble]
) -> str:
    """Say what a rule names that nothing has, and what runs; empty: all of it is there."""
    if name not in refused:
        return ""
    here = RuleTrouble(folder_id=folder.id, rule_id=name, reason=refused[name])
    return troubles.get(name, here).placed(folder, root)


def _trouble(folder: RuleFolder, problem: Problem) -> RuleTrouble:
    return RuleTrouble(folder_id=folder.id, rule_id=problem.id, reason=problem.message)


def _items(checkout: Checkout) -> Iterable[tuple[str, Decided]]:
    yield from checkout.rules.items()
    yield from checkout.correlations.items()
    yield from ((name, one) for name, one in checkout.queries.items() if one.schedule is not None)


def find_rule(installation: Installation, name: str, among: Iterable[ListedFolder] | None = None) -> ListedRule:
    """Return the rule of that id that runs, or would. Raises ConfigError with the nearest id.

    `among` is what is listed, if that is known: to read thousands of rules takes seconds.
    """
    every = [rule for folder in (listed(installation) if among is None else among) for rule in folder.rules]
    for rule in every:
        if rule.id == name:
            return rule
    nearest = suggest(name, [rule.id for rule in every]) or Phrase(". See: ocelog rules list")
    raise ConfigError(Phrase("There is no rule %(name)s%(nearest)s", name=shown(name), nearest=nearest))


def threshold(installation: Installation, name: str) -> int | None:
    """Return from how many matches on a rule tells people; None: there is no such rule any more."""
    try:
        about = getattr(find_rule(installation, name).item, "about", None)
    except ConfigError:
        return None
    return getattr(about, "threshold", None)


def texts(rule: ListedRule) -> dict[str, str]:
    """Return what a rule's file and the Python beside it say, by their names, each cut to a bound.

    A link may lead anywhere: what it leads to is shown only if that is a file of this kind in the same checkout.
    """
    found, root = dict[str, str](), rule.root.resolve()
    described = rule.root / rule.item.place.file
    for path in (described, described.with_suffix(".py")):
        try:
            real = path.resolve(strict=True)
            if not real.is_relative_to(root) or real.suffix != path.suffix:
                continue
            # Opened without following a link that was put there meanwhile, and without waiting for a pipe.
            opened = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(opened, "rb") as file:
                if stat.S_ISREG(os.fstat(opened).st_mode):
                    found[path.name] = file.read(_LONGEST_TEXT).decode("utf-8", "replace")
        except (OSError, RuntimeError):
            # Gone meanwhile, not for this user, or links in a circle: then it is not shown.
            continue
    return found


def turn(installation: Installation, wanted: Sequence[str], *, on: bool) -> SwitchedRules:
    """Turn rules and packs on or off, each named by its id, or rules by a pattern such as `Acme.*`.

    What a pack or a rule's file says already is not noted as a person's decision, so that the file decides later too.
    Raises ConfigError if one of `wanted` means nothing, or if a folder is still being written and `wanted` are not all
    ids of rules: then nothing is changed.
    """
    read = read_folders(installation, waits=True)
    checkouts = {each.folder.id: each.checkout for each in read if each.checkout is not None}
    known = {name for checkout in checkouts.values() for name, _ in _items(checkout)}
    packs = {name for checkout in checkouts.values() for name in checkout.packs}
    if not known.issuperset(wanted):
        _refuse_changing(read)
    rules, turned = set[str](), list[str]()
    for name in wanted:
        if name in packs and name not in known:
            turned.append(name)
        else:
            rules |= _matching(name, known, packs)
    for folder_id, checkout in checkouts.items():
        if mine := {name: on for name in turned if name in checkout.packs}:
            installation.ledger.rules.turn_packs(folder_id, mine)
    _decide(installation, checkouts, rules, on=on)
    living = {
        name
        for checkout in checkouts.values()
        for name, rule in checkout.rules.items()
        if rule.about.lives_with_record
        and (name in rules or any(name in checkout.packs[each].ids for each in turned if each in checkout.packs))
    }
    return SwitchedRules(rules=tuple(sorted(rules)), packs=tuple(turned), living=tuple(sorted(living)))


def _matching(pattern: str, known: Collection[str], packs: Collection[str]) -> set[str]:
    found = {pattern} if pattern in known else {name for name in known if fnmatchcase(name, pattern)}
    if not found:
        nearest = suggest(pattern, [*known, *packs]) or Phrase(". See: ocelog rules list")
        raise ConfigError(
            Phrase("There is no rule or pack %(pattern)s%(nearest)s", pattern=shown(pattern), nearest=nearest)
        )
    return found


def _decide(installation: Installation, checkouts: Mapping[str, Checkout], rules: set[str], *, on: bool) -> None:
    said = dict[str, bool]()
    for folder in installation.ledger.rules.folders():
        if (checkout := checkouts.get(folder.id)) is not None:
            for name, one in decisions(checkout, folder, {}).items():
                said.setdefault(name, one.runs)
    agreed = {name for name in rules if said.get(name) is on}
    suspended = {name for name, each in installation.ledger.rules.states().items() if each.suspended_us is not None}
    if agreed:
        installation.ledger.rules.enable(agreed, enabled=None)
    if others := rules - agreed:
        installation.ledger.rules.enable(others, enabled=on)
    for name in sorted(rules & suspended):
        why = kept_text("the rule was enabled") if on else kept_text("the rule was disabled")
        installation.ledger.alerts.end_errors(name, why, suspended=True)


def unjudged(installation: Installation, rule: str | None = None) -> list[UnjudgedRows]:
    """Return what rules were not asked about or failed on, or one rule, or those whose ids are as a pattern says."""
    found = installation.ledger.rules.unjudged(rule)
    if rule is None or "*" not in rule or any(each.rule_id == rule for each in found):
        return found
    return [each for each in installation.ledger.rules.unjudged() if fnmatchcase(each.rule_id, rule)]


def what_to_do(installation: Installation, oldest_us: Mapping[str, int]) -> dict[str, str]:
    """Return, by rule, what becomes of events that it did not judge, with a command that works.

    `oldest_us` is when the oldest of them happened, by rule; the empty one stands for every rule.
    """
    found = listed(installation)
    rules = {rule.id: rule for folder in found for rule in folder.rules if rule.shadowed_by is None}
    unread = {name for folder in found for name in folder.unread}
    folders = {each.name for each in installation.ledger.rules.folders()}
    todo = dict[str, str]()
    for name, since in oldest_us.items():
        if not name:
            todo[name] = _what_to_do_by_all(since)
        elif name in unread and name not in rules:
            todo[name] = f"Correct its file first. {_replay(name, since)}"
        else:
            todo[name] = _what_to_do(name, since, rules.get(name), folders)
    return todo


def _what_to_do_by_all(oldest_us: int) -> str:
    since = rfc3339(from_us(oldest_us).replace(microsecond=0))
    return (
        "To have them judged, once their source is added again: ocelog rules replay RULE "
        f"--since {since}, for each rule that matters. What is listed for every rule stays until it is forgotten: "
        "ocelog rules unjudged --dismiss"
    )


def _what_to_do(name: str, oldest_us: int, rule: ListedRule | None, folders: Collection[str]) -> str:
    typed = shlex.quote(name)
    forget = f"To forget them: ocelog rules unjudged {typed} --dismiss"
    if rule is None:
        folder = name.removesuffix("/*")
        if folder != name and folder in folders:
            return f"Correct the files, and replay the rules that matter. {forget}"
        return f"There is no such {'folder' if folder != name else 'rule'} any more. {forget}"
    if rule.kind == "scheduled_query":
        return forget
    again = _replay(name, oldest_us)
    match rule.status:
        case "on":
            return again
        case "suspended":
            return f"It is suspended. Correct it, then run: ocelog rules enable {typed}. {again}"
        case "off":
            return f"It is off. {forget}"
        case _:
            return f"Correct the rule first. {again}"


def _replay(name: str, oldest_us: int) -> str:
    # A whole second, and not the default of the command, which may lie behind the oldest.
    since = rfc3339(from_us(oldest_us).replace(microsecond=0))
    return f"To have them judged: ocelog rules replay {shlex.quote(name)} --since {since}"


def dismiss_unjudged(installation: Installation, rule: str | None, listed: Sequence[UnjudgedRows]) -> int:
    """Forget what was `listed`, but nothing that came later; return how many rows of tables that was."""
    until = max((each.noted_us for each in listed), default=0)
    if rule is None:
        return installation.ledger.rules.dismiss_unjudged(None, noted_until_us=until)
    exact = any(each.rule_id == rule for each in listed)
    names = {rule} if exact else {each.rule_id for each in listed if fnmatchcase(each.rule_id, rule)}
    return sum(installation.ledger.rules.dismiss_unjudged(name, noted_until_us=until) for name in names)


def names_here(installation: Installation, *, besides: Path) -> tuple[frozenset[str], frozenset[str]]:
    """Return the rules of the folders that do not hold `besides`, and names and ids of channels."""
    mine = besides.resolve()
    found = set[str]()
    for each in read_folders(installation):
        if each.checkout is not None and not mine.is_relative_to(each.checkout.root):
            found |= {name for name, _ in _items(each.checkout)}
    channels = installation.ledger.channels.listed()
    return frozenset(found), frozenset(name for each in channels for name in (each.name, each.id))


def file_of(rule: ListedRule) -> str:
    """Return where a rule stands."""
    place = rule.item.place
    return f"{rule.root / place.file}:{place.line}"


def near(path: Path) -> str:
    """Return `path` as it is named from the current folder, if it lies in it."""
    here = Path(os.path.realpath(Path.cwd()))
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
