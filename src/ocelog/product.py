"""What a product is to the rest of Ocelog: its log types, what a person sets for a source of it, how it is opened."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct, field

from ocelog.model import Kind
from ocelog.pull.clock import ApiClock
from ocelog.pull.ports import Source
from ocelog.secrets.secret import Secret


class SourceSettings(Protocol):
    """What one source is set to, checked. Holds no secret."""

    @property
    def product(self) -> str:
        """Whose logs it reads, as `SOURCES` names it."""
        ...

    @property
    def log_types(self) -> tuple[str, ...]:
        """Full names of the log types that are read."""
        ...

    @property
    def projects(self) -> tuple[str, ...]:
        """Ids of the parts of the tenant to which it is limited; empty: everything."""
        ...

    @property
    def rate(self) -> float:
        """Requests per second, at most."""
        ...

    @property
    def page_size(self) -> int:
        """How many records are requested at once."""
        ...

    @property
    def account_names(self) -> tuple[str, ...]:
        """What records of the tenant may call the account that reads it, such as its client ID."""
        ...

    def to_mapping(self) -> dict[str, Any]:
        """Return plain JSON values: what the product's `read` reads."""
        ...

    def is_same_tenant(self, other: "SourceSettings") -> bool:
        """Whether both reach the same tenant, as far as their addresses tell."""
        ...

    def is_same_account(self, other: "SourceSettings") -> bool:
        """Whether both read the same tenant as the same account, so that each record would be there twice."""
        ...

    def shows_more_than(self, before: "SourceSettings") -> bool:
        """Whether this source can see records that one set to `before` could not."""
        ...

    def conflict(self) -> str | None:
        """Return how settings are at odds with each other, though they work; None: they are not."""
        ...


class Option(Struct, frozen=True, kw_only=True):
    """A setting that a person can give: as an option of a command, in the wizard, or in a form."""

    name: str
    """As the settings call it."""
    flag: str
    """As the command line calls it, such as `--token-url`."""
    help: str
    value: type[str | int | float] = str
    label: str = ""
    """What a form calls it; empty: as the question about it does."""
    many: bool = False
    """It may be repeated, and its value is a list of texts."""
    is_file: bool = False
    """It names a file on this machine; kept as an absolute path."""
    metavar: str | None = None
    required: bool = False
    is_address: bool = False
    """It says where a secret is sent to."""
    reaches: bool = False
    """It changes what is reached or read, so that it deserves a check."""
    rotates: bool = False
    """It may change together with the secret."""


Answers = Mapping[str, Any]
"""What was answered so far, by the name of the setting."""


class Question(Struct, frozen=True, kw_only=True):
    """What the wizard asks about one setting."""

    option: str
    """Name of the setting that the answer gives."""
    prompt: str
    short: str = ""
    """What a list of settings calls it, or a form that offers `choices`; empty: as it is asked."""
    before: str = ""
    """What is said before it is asked."""
    hint: str = ""
    """What a form that offers `choices` says in the place of that; empty: the same."""
    choices: Mapping[str, str] = field(default_factory=dict)
    """Answers that a form offers, and what it calls them; there is always another. Empty: any text."""
    default: Callable[[Answers], str] | None = None
    """None: there is no answer by default. A text of no length: it may be left empty, and is not set then."""
    read: Callable[[str, Answers], Any] = lambda text, _: text
    """Return the value that a text means. Raises ConfigError, whose message is shown before it is asked again."""
    asked: Callable[[Answers], bool] = lambda _: True
    """Whether it is asked at all, after those answers."""
    letter: str = ""
    """What a person types to change the answer; questions with the same letter are asked together."""
    label: str = ""
    """What is changed by that letter."""
    unset: str = "none"
    """How it is shown that there is no answer."""


LOG_TYPES = "log_types"
"""In the place of a question: which log types are to be read."""
SECRET = "secret"  # noqa: S105 - a name
"""In the place of a question: the secret."""


class Step(Struct, frozen=True, kw_only=True):
    """A page of the wizard: where a person must look, and what is asked there."""

    title: str
    text: str
    questions: Sequence[Question | str]
    """Questions, LOG_TYPES or SECRET, in the order in which they are asked."""
    check: Callable[[Answers], None] = lambda _: None
    """Raises ConfigError if the answers of the step do not go together; it is asked again then."""
    reach: Callable[[str, Answers], None] | None = None
    """Takes the name of an answered setting too; raises SourceUnavailableError if what it names does not answer.

    It alone is asked again then, and may be kept.
    """
    is_whole: Callable[[str, Answers], bool] = lambda _, __: True
    """Whether the answers so far say all that `reach` needs about a setting."""


class Connector(Protocol):
    """What sources of one product share within a process, such as the rate limit of one account."""

    def connect(
        self, source_id: str, settings: SourceSettings, secret: Callable[[], Secret], clock: ApiClock
    ) -> Source:
        """Return a source to ask; `secret` is called for each token. Nothing is sent yet."""
        ...


class Confined(Protocol):
    """Says of settings where they may lead."""

    def __call__(self, settings: SourceSettings, /, *, public_only: bool) -> SourceSettings:
        """Return settings with which only public addresses are reached, checked when connecting, or any."""
        ...


class Rights(Struct, frozen=True, kw_only=True):
    """Which rights an account needs, as a form shows it."""

    kind: str
    """What kind of account it is."""
    scopes: Mapping[str, Sequence[str]]
    """Scope -> what people call the log types that need it; none: all of them."""
    limits: str
    """What is to be said of the parts of the tenant that it may see."""


class Product(Struct, frozen=True, kw_only=True):
    """A product whose logs can be read. One entry in `SOURCES`."""

    name: str
    """As `ocelog source add` and the ledger name it."""
    title: str
    """As its maker writes it."""
    log_types: Mapping[str, Kind]
    """By full name."""
    options: Sequence[Option]
    steps: Sequence[Step]
    read: Callable[[Mapping[str, Any]], SourceSettings]
    """Read what `SourceSettings.to_mapping` returned. Raises ConfigError."""
    choose: Callable[[SourceSettings | None, Mapping[str, Any]], SourceSettings]
    """Return settings (None: the defaults) with the values that a person gave. Raises ConfigError."""
    connector: Callable[[], Connector]
    confined: Confined
    rights: Callable[[Sequence[str]], str]
    """Say which rights an account needs to read these log types."""
    needed: Callable[[Sequence[str]], Rights] | None = None
    """The same in parts; None: `rights` says all."""
    meanings: Mapping[str, str] = field(default_factory=dict)
    """What those settings mean that no option gives."""
