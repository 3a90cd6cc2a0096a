"""What the wizard asks about one tenant: each question is asked until its answer holds."""

import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import typer
from msgspec.structs import replace

from ocelog.app.source_settings import written_backfill
from ocelog.app.sources.sources import GivenSecret
from ocelog.cli import show
from ocelog.cli.secret_input import asked_new_secret, asked_secret
from ocelog.cli.source_options import SourceOptions
from ocelog.cli.typed import as_typed
from ocelog.errors import ConfigError, SourceUnavailableError
from ocelog.product import Answers, Product, Question, Step

T = TypeVar("T")


def say(text: str, indent: int = 0) -> None:
    """Say something that is not part of an answer; lines wrap between words, `indent` beyond where they begin."""
    typer.echo(show.fitted(as_typed(text), sys.stderr, indent=indent), err=True)


def asked(prompt: str, check: Callable[[str], T], default: str | None = None) -> T:
    """Ask until `check` returns a value for what was typed; it raises ConfigError for what does not hold."""
    # The library puts a colon and a blank behind it, which must fit too.
    shown = show.fitted(f"{prompt} [{default}]:_" if default else f"{prompt}:_", sys.stderr).removesuffix(":_")
    while True:
        # Without a default the library asks again in silence.
        text = str(typer.prompt(shown, default=default or "", show_default=False, err=True)).strip()
        try:
            return check(text)
        except ConfigError as error:
            say(f"  {_sentence(f'{error}')}")


def _sentence(text: str) -> str:
    """Return `text` with a capital, if it begins with a plain word: a host or a quoted text stays as it is."""
    first, _, rest = text.partition(" ")
    return f"{first.capitalize()} {rest}" if first.isalpha() and first.islower() else text


def answered(chosen: SourceOptions, questions: Sequence[Question], step: Step) -> SourceOptions:
    """Ask `questions` of `step`, again and again until the answers go together, and what they name answers.

    What was answered before is offered again. An address is tried as soon as it is known, and kept by whoever insists.
    """
    asking, tried = list(questions), dict[str, Any]()
    while True:
        before = answers_of(chosen)
        at: Question | None = None
        try:
            for at in questions:
                # What followed from an answer follows from its correction, too.
                follows = at.default is not None and before.get(at.option) == at.default(before)
                if at in asking or (follows and at.default(answers_of(chosen)) != at.default(before)):  # type: ignore[misc] # mypy
                    chosen = _answered(chosen, at, before)
                    asking = [each for each in asking if each is not at]
                    _try_out(chosen, at, step, tried)
            at = None
            step.check(answers_of(chosen))
            for at in questions:
                _try_out(chosen, at, step, tried)
        except ConfigError as error:
            say(f"  {error}")
            if at is None:
                chosen = _without_refused(chosen, questions)
                asking = list(questions)
            else:
                asking = [at, *asking]
        except SourceUnavailableError as error:
            if at is None:
                raise
            say(f"  The {_name(at)} does not work: {error} Correct it, or press Enter to keep it.")
            asking, tried[at.option] = [at, *asking], answers_of(chosen)[at.option]
        else:
            return chosen


def _without_refused(chosen: SourceOptions, questions: Sequence[Question]) -> SourceOptions:
    """Return what was chosen without one of the answers that do not go together, so that these are not offered again.

    It is the one that is quickest typed: the first abbreviation; an address in full stays.
    """
    short = [each.option for each in questions if "://" not in str(chosen.own.get(each.option, "://"))]
    return replace(chosen, own={name: value for name, value in chosen.own.items() if name not in short[:1]})


def _try_out(chosen: SourceOptions, question: Question, step: Step, tried: dict[str, Any]) -> None:
    """Try what an answer names, unless it was `tried` before. Raises SourceUnavailableError and ConfigError."""
    answers = answers_of(chosen)
    value = answers.get(question.option)
    if step.reach is None or chosen.no_check or not value or tried.get(question.option) == value:
        return
    if not step.is_whole(question.option, answers):
        return
    say(f"  Trying the {_name(question)} ...")
    step.reach(question.option, answers)
    say("  It answers.")
    tried[question.option] = value


def _name(question: Question) -> str:
    return re.split(r" \(|:", question.prompt)[0]


def answers_of(chosen: SourceOptions) -> Answers:
    """Return what was chosen, by the name of the setting."""
    return {**chosen.own, "log_types": chosen.log_type or []}


def _answered(chosen: SourceOptions, question: Question, before: Answers) -> SourceOptions:
    """Ask one question; what was answered `before` is its default, unless that followed from other answers."""
    own, answers = dict(chosen.own), answers_of(chosen)
    own.pop(question.option, None)
    if question.asked(answers):
        if question.before:
            say(question.before)
        default = None if question.default is None else question.default(answers)
        prompt, present = question.prompt, before.get(question.option)
        may_be_unset = default == ""
        if present is not None and (question.default is None or present != question.default(before)):
            default = ", ".join(present) if isinstance(present, list) else str(present)
            if may_be_unset:
                prompt = f"{prompt.partition(' (')[0]} (type - for none)"
        value = asked(
            prompt,
            lambda text: question.read("" if may_be_unset and text == "-" else text, answers),
            default,
        )
        if value is not None:
            own[question.option] = value
    return replace(chosen, own=own)


def log_types(chosen: SourceOptions, product: Product) -> SourceOptions:
    """Ask what is read, by default what was chosen before; say what an account needs for it."""
    present = chosen.log_type or list(product.log_types)
    while True:
        wanted = [
            kind.log_type
            for kind in product.log_types.values()
            if yes_or_no(f"Read {kind.title}?", default=kind.log_type in present)
        ]
        if wanted:
            say(product.rights(wanted))
            return replace(chosen, log_type=wanted)
        say("  Nothing is left to read: choose at least one.")


def yes_or_no(question: str, *, default: bool) -> bool:
    """Ask until the answer is yes or no."""

    def meant(text: str) -> bool:
        if text.lower() not in ("", "y", "yes", "n", "no"):
            raise ConfigError("Type y for yes or n for no.")
        return text.lower() in ("y", "yes") if text else default

    return asked(f"{question} {'[Y/n]' if default else '[y/N]'}", meant, "")


def secret() -> GivenSecret:
    """Ask for the secret, unseen."""
    while True:
        try:
            return asked_secret()
        except ConfigError as error:
            say(f"  {error}")


def new_secret() -> GivenSecret | None:
    """Ask for another secret, unseen; None: the present one stays."""
    while True:
        try:
            return asked_new_secret()
        except ConfigError as error:
            say(f"  {error}")


def backfill(chosen: SourceOptions) -> SourceOptions:
    """Ask how far back to read."""
    return replace(
        chosen,
        backfill=asked(
            "How far back to read (30d, 90d, all)",
            lambda text: written_backfill(text, ""),
            default=chosen.backfill or "30d",
        ),
    )
