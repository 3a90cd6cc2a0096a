"""What `ocelog source add` and `edit` ask on a terminal, in the order of the product's pages, and how to correct it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, NoReturn, TypeVar

import typer
from msgspec import Struct
from msgspec.structs import replace

from ocelog.app.source_settings import source_settings
from ocelog.app.sources import sources
from ocelog.app.sources.source_changes import EditResult, described, edit, free_name, prove, revised
from ocelog.app.sources.sources import GivenSecret, products
from ocelog.cli import health, questions, show
from ocelog.cli.questions import asked, say
from ocelog.cli.source_options import SourceOptions
from ocelog.errors import ConfigError, OcelogError
from ocelog.installation.opening import Installation
from ocelog.model import SourceRow
from ocelog.product import LOG_TYPES, SECRET, Product, Question, SourceSettings, Step
from ocelog.pull.ports import HealthItem, HealthState
from ocelog.units import write_list

T = TypeVar("T")


def _ask_about_warnings(found: Sequence[HealthItem]) -> None:
    """Ask whether it may stay so, if nothing fails and something may be wrong, such as a project's id."""
    states = {each.state for each in found}
    doubtful = HealthState.WARN in states and HealthState.FAIL not in states
    if doubtful and not questions.yes_or_no("Go on with it as it is?", default=True):
        raise ConfigError("What shall be changed?")


_LISTENER = replace(health.LISTENER, stopped=lambda _: None, found=_ask_about_warnings)
"""Whoever leaves by Ctrl-C hears the same wherever that is."""
_NOT_SAVED, _NOT_CHANGED = "Nothing was saved.", "Nothing was changed."
_NOTHING_YET = "Nothing is saved yet."


class TenantAnswers(Struct, frozen=True, kw_only=True):
    """All that adding a tenant needs, or changing it."""

    name: str
    chosen: SourceOptions
    secret: GivenSecret | None
    """None: the present one stays."""


class Described(Struct, frozen=True, kw_only=True):
    """A tenant as a person wants it added."""

    row: SourceRow
    secret: GivenSecret
    works: bool
    """False: it was saved though it does not."""


def ask(installation: Installation, product: Product, name: str | None, chosen: SourceOptions) -> Described:
    """Ask for everything that adding a tenant needs, until it works or the person wants it saved as it is.

    Raises ConfigError if the person leaves.
    """
    try:
        return _ask(installation, product, name, chosen)
    except (typer.Abort, KeyboardInterrupt):
        # Behind ^C, which the terminal has shown.
        say("")
        raise ConfigError(_NOT_SAVED, code="declined") from None


def revise(installation: Installation, before: SourceRow, chosen: SourceOptions) -> EditResult | None:
    """Ask again all that was asked when a source was added, with its present values, and change it; None: nothing is.

    It is asked until it works or the person wants it saved as it is. Raises ConfigError if the person leaves.
    """
    try:
        return _revise(installation, before, chosen)
    except (typer.Abort, KeyboardInterrupt):
        say("")
        raise ConfigError(_NOT_CHANGED, code="declined") from None


def _revise(installation: Installation, before: SourceRow, chosen: SourceOptions) -> EditResult | None:
    product, settings = sources.product_of(before), source_settings(before)
    present = settings.to_mapping()
    own = {
        each.option: _as_answered(each, present[each.option]) for each in _questions(product) if present[each.option]
    }
    say(f"Changing {before.name!r}. Press Enter to keep what is there.")
    answers = _asked(
        product, before.name, replace(chosen, own=own, log_type=list(settings.log_types)), lambda each: each, kept=True
    )
    while True:
        may_be_saved = False
        try:
            change = _difference(answers, settings).change(answers.secret)
            if not change.reaches_anew and change.secret is None:
                return None
            revised(installation, before, change)
            may_be_saved = True
            say("")
            return edit(installation, before, change, _LISTENER, otherwise=_NOTHING_YET)
        except OcelogError as error:
            say(f"\n{error}")
            answers = _corrected(product, answers, None, may_be_saved=may_be_saved)


def _questions(product: Product) -> list[Question]:
    return [each for step in product.steps for each in step.questions if isinstance(each, Question)]


def _as_answered(question: Question, value: Any) -> Any:
    """Return a text or a list of settings as the question about it has it, which may be an abbreviation."""
    return question.read(value, {}) if isinstance(value, str) else list(value)


def _difference(answers: TenantAnswers, before: SourceSettings) -> SourceOptions:
    """Return the answers that are others than the settings, as options; what was not asked stays."""
    product, chosen, present = products()[before.product], answers.chosen, before.to_mapping()
    given = questions.answers_of(chosen)
    # None is left out of what is kept.
    own = {
        each.option: chosen.own.get(each.option, [] if isinstance(present[each.option], list | tuple) else None)
        for each in _questions(product)
        if each.asked(given)
    }
    after = product.choose(before, own).to_mapping()
    own = {name: value for name, value in own.items() if after[name] != present[name]}
    log_types = chosen.log_type
    same = log_types is not None and set(log_types) == set(before.log_types)
    return replace(chosen, own=own, log_type=None if same else log_types)


def _ask(installation: Installation, product: Product, name: str | None, chosen: SourceOptions) -> Described:
    free = partial(free_name, installation)
    if name is not None:
        name = free(name)
    say(
        f"Adding a {product.title} tenant. Have {product.title} open in a browser, as a user who may make service "
        "accounts."
    )
    name = name or asked("A name for this tenant, for example prod", free)
    known = partial(_not_twice, installation, product, name)
    answers = _asked(product, name, chosen, known)
    while True:
        may_be_saved = False
        try:
            answers = replace(answers, chosen=known(answers.chosen))
            row = described(installation, product, answers.name, answers.chosen.change())
            may_be_saved = True
            secret = answers.secret or questions.secret()
            answers = replace(answers, secret=secret)
            if not answers.chosen.no_check:
                say("")
                prove(row, secret.value, _NOTHING_YET, _LISTENER)
        except OcelogError as error:
            say(f"\n{error}")
            answers = _corrected(product, answers, free, may_be_saved=may_be_saved)
        else:
            works = chosen.no_check or not answers.chosen.no_check
            last = questions.backfill(answers.chosen)
            return Described(
                row=described(installation, product, answers.name, last.change()), secret=secret, works=works
            )


def _not_twice(installation: Installation, product: Product, name: str, chosen: SourceOptions) -> SourceOptions:
    """Return what was chosen, once no other source reads the same tenant as this account, or the person insists."""
    while not chosen.anyway and all(each.name in chosen.own for each in product.options if each.required):
        other = sources.twin(installation, chosen.change().settings(product, None), sources.source_id(name))
        if other is None:
            break
        say(
            f"\nThe source {other.name!r} reads this tenant with this account already. If it is read a second time, "
            "each record is stored twice."
        )
        # Nothing else changes which account it is.
        required = {each.name for each in product.options if each.required}
        choices = {
            letter: change
            for letter, (options, change) in _changes(product, chosen).items()
            if not required.isdisjoint(options)
        }
        choices["a"] = ("read it a second time anyway", partial(replace, chosen, anyway=True))
        choices["q"] = (f"quit; nothing is saved. To change {other.name!r}: ocelog source edit {other.id}", _leave)
        chosen = _decided(choices)
    return chosen


def _asked(
    product: Product,
    name: str,
    chosen: SourceOptions,
    known: Callable[[SourceOptions], SourceOptions],
    *,
    kept: bool = False,
) -> TenantAnswers:
    """Ask all questions of a product; `kept`: there is a secret, which may stay."""
    secret: GivenSecret | None = None
    for number, step in enumerate(product.steps, 1):
        say(f"\nStep {number}: {step.title}.\n{step.text}")
        pending = list[Question]()
        for asking in (*step.questions, None):
            if isinstance(asking, Question):
                pending.append(asking)
                continue
            if pending:
                chosen = known(questions.answered(chosen, pending, step))
                pending.clear()
            if asking == LOG_TYPES:
                chosen = questions.log_types(chosen, product)
            elif asking == SECRET:
                secret = questions.new_secret() if kept else questions.secret()
    return TenantAnswers(name=name, chosen=chosen, secret=secret)


def _corrected(
    product: Product, answers: TenantAnswers, free: Callable[[str], str] | None, *, may_be_saved: bool
) -> TenantAnswers:
    """Ask what to do about answers that do not work, and change nothing but that.

    What may not be saved as it is, is neither tried again nor kept. `free` checks another name; None: it has its name.
    """
    chosen = answers.chosen

    def change_choice(change: Callable[[], SourceOptions]) -> TenantAnswers:
        return replace(answers, chosen=change())

    choices: dict[str, tuple[str, Callable[[], TenantAnswers]]] = {}
    if may_be_saved:
        choices["r"] = ("try again", lambda: answers)
    for letter, (_, (meaning, change)) in _changes(product, chosen).items():
        choices[letter] = (meaning, partial(change_choice, change))
    known = product.log_types
    titles = [known[each].title if each in known else each for each in chosen.log_type or ()]
    choices |= {
        "s": ("change the client secret", lambda: replace(answers, secret=questions.secret())),
        "l": (
            f"change what is read ({write_list(titles)})",
            lambda: change_choice(lambda: questions.log_types(chosen, product)),
        ),
    }
    if free is not None:
        choices["n"] = (
            f"change the name ({answers.name})",
            lambda: replace(answers, name=asked("Another name", free, default=answers.name)),
        )
    if may_be_saved:
        choices["k"] = (
            f"keep it as it is, and correct it later: ocelog source edit {sources.source_id(answers.name)}",
            lambda: change_choice(lambda: replace(chosen, no_check=True)),
        )
    choices["q"] = ("quit; nothing is saved" if free is not None else "quit; nothing is changed", _leave)
    return _decided(choices, default="r" if may_be_saved else None)


def _changes(
    product: Product, chosen: SourceOptions
) -> dict[str, tuple[set[str], tuple[str, Callable[[], SourceOptions]]]]:
    """Return, by their letter, which settings are asked together, and how it is called and done to change them."""
    asked_together = dict[str, tuple[Step, list[Question]]]()
    for step in product.steps:
        for question in step.questions:
            if isinstance(question, Question) and question.asked(questions.answers_of(chosen)):
                asked_together.setdefault(question.letter, (step, []))[1].append(question)
    found = dict[str, tuple[set[str], tuple[str, Callable[[], SourceOptions]]]]()
    for letter, (step, some) in asked_together.items():
        values = ", ".join(show.cell(chosen.own.get(each.option, each.unset)) for each in some)
        meaning = f"change {some[0].label} ({values})"
        found[letter] = ({each.option for each in some}, (meaning, partial(questions.answered, chosen, some, step)))
    return found


def _decided(choices: Mapping[str, tuple[str, Callable[[], T]]], default: str | None = None) -> T:
    """Ask which of `choices` it shall be, and do it."""
    for letter, (meaning, _) in choices.items():
        say(f"  {letter}  {meaning}", indent=3)
    _, change = choices[asked("What now?", _one_of(choices), default=default)]
    return change()


def _leave() -> NoReturn:
    raise typer.Abort


def _one_of(choices: Collection[str]) -> Callable[[str], str]:
    def checked(text: str) -> str:
        if text[:1].lower() not in choices:
            raise ConfigError(f"Type one of {', '.join(choices)}.")
        return text[:1].lower()

    return checked
