"""The form in which a source is described: its fields are the product's questions, and nothing here knows a product."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct

from ocelog.app.sources.source_changes import SourceChange
from ocelog.app.sources.source_editing import BACKFILLS
from ocelog.app.sources.sources import GivenSecret
from ocelog.errors import ConfigError, SourceUnavailableError
from ocelog.languages.phrases import Phrase
from ocelog.product import LOG_TYPES, SECRET, Product, Question, Rights
from ocelog.secrets.secret import Secret

OTHER = "other"
"""In the place of a choice: the answer is in a field of its own."""


class SourceDraft(Struct, frozen=True, kw_only=True):
    """A source as a form described it."""

    name: str
    change: SourceChange


@dataclass(slots=True, kw_only=True)
class SourceForm:
    """What a person typed, field by field, and what is wrong with it."""

    product: Product
    values: Mapping[str, str]
    """By the name of the field; never the secret."""
    log_types: tuple[str, ...]
    wrong: dict[str, str] = field(default_factory=dict)
    """By the name of the field, why its value does not hold."""
    doubled: bool = False
    """Another source reads the same with the same account: a person may insist."""

    @classmethod
    def blank(cls, product: Product) -> "SourceForm":
        """Return the form with which one begins: everything is filled in that has an answer by default."""
        return cls(product=product, values={"backfill": "30d"}, log_types=tuple(product.log_types))

    @property
    def rights(self) -> str:
        """Which rights the account needs for what is chosen."""
        return self.product.rights(self.log_types or tuple(self.product.log_types))

    @property
    def needed(self) -> Rights | None:
        """The same in parts, if the product tells them apart."""
        tell = self.product.needed
        return None if tell is None else tell(self.log_types or tuple(self.product.log_types))

    def chosen(self, question: Question) -> str:
        """Return which of a question's choices holds: one of them, or OTHER."""
        text = self.values.get(question.option, "") or self.default(question)
        return text if text in question.choices else OTHER

    def other(self, question: Question) -> str:
        """Return what was typed in the place of a choice."""
        text = self.values.get(question.option, "")
        typed = self.values.get(f"{question.option}_{OTHER}", "")
        return typed if text in (*question.choices, OTHER, "") else text

    def default(self, question: Question) -> str:
        """Return what a field holds in the beginning."""
        return "" if question.default is None else question.default({})

    def described(self, secret: Secret | None, *, public_only: bool) -> SourceDraft | None:
        """Read the form; None: something is wrong, which `wrong` then says."""
        answers: dict[str, Any] = {"log_types": list(self.log_types)}
        if not self.log_types:
            self.wrong[LOG_TYPES] = Phrase("Choose at least one log type.")
        for step in self.product.steps:
            for question in (each for each in step.questions if isinstance(each, Question)):
                self._read(question, answers)
            self._check(step.check, answers, step.questions)
        backfill = self.values.get("backfill", "30d")
        if backfill not in BACKFILLS:
            self.wrong["backfill"] = Phrase("Choose how far back to read.")
        name = self.values.get("name", "")
        if not name.strip():
            self.wrong["name"] = Phrase("This is needed.")
        if secret is None:
            self.wrong[SECRET] = Phrase("Paste the client secret.")
        if self.wrong or secret is None:
            return None
        own = {name: value for name, value in answers.items() if name != "log_types"}
        change = SourceChange(
            own=own,
            public_only=public_only,
            log_types=list(self.log_types),
            streams={"backfill": backfill},
            secret=GivenSecret(value=secret),
        )
        return SourceDraft(name=name, change=change)

    def _read(self, question: Question, answers: dict[str, Any]) -> None:
        if not question.asked(answers):
            return
        text = self.values.get(question.option, "").strip()
        if question.choices and text == OTHER:
            text = self.values.get(f"{question.option}_{OTHER}", "").strip()
        text = text or self.default(question)
        required = any(each.required for each in self.product.options if each.name == question.option)
        if required and not text:
            self.wrong[question.option] = Phrase("This is needed.")
            return
        try:
            value = question.read(text, answers)
        except ConfigError as error:
            self.wrong[question.option] = error.phrase
            return
        if value is not None:
            answers[question.option] = value

    def _check(self, check: Any, answers: Mapping[str, Any], questions: Sequence[Question | str]) -> None:
        names = [each.option for each in questions if isinstance(each, Question)]
        if not names or any(name in self.wrong for name in names):
            return
        try:
            check(answers)
        except (ConfigError, SourceUnavailableError) as error:
            self.wrong[names[0]] = error.phrase
