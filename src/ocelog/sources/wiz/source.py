"""How Wiz is asked on the puller's behalf: the one place where client, token, pace, clock and answers meet."""

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from ocelog.errors import AccessRefusedError, ContractBrokenError, SourceThrottledError, SourceUnavailableError
from ocelog.languages.phrases import Phrase
from ocelog.pull.clock import ApiClock
from ocelog.pull.ports import Answer, Ask, HealthItem, Page, Unusable
from ocelog.secrets.redaction import Redactor
from ocelog.secrets.secret import Secret
from ocelog.sources.wiz.answers import FieldsRefused, Reply, TokenRefused, read_answer, read_cheap
from ocelog.sources.wiz.check import check
from ocelog.sources.wiz.client import Client
from ocelog.sources.wiz.endpoints import api_url_of
from ocelog.sources.wiz.exchange import HttpAnswer
from ocelog.sources.wiz.rate import Pace
from ocelog.sources.wiz.selection import Selection, without
from ocelog.sources.wiz.settings import WizSettings
from ocelog.sources.wiz.streams import ROOTS, Root
from ocelog.sources.wiz.tokens import Token, Tokens
from ocelog.times import to_us

_MOST_TRIES = 20
"""Of one request, counting each time that a field, the token or the Date is refused."""
_CHEAP = "{ __typename }"
"""The least that can be asked; no scope is needed for it."""
_NEW_TOKENS = 2
"""So many new ones in a row are tried for one request: a neighbour's refusal may have replaced the first of them."""
_YOUNG_SECONDS = 60.0
"""A token that is younger, and is taken for another request, is not the reason why one is refused."""
_HOPELESS = 10
"""So many tokens refused in a row, over all requests, are no passing trouble: a person must look."""
_FORGET_SECONDS = 3600.0
"""Refused fields are asked for again after so long: somebody may have added the scope."""
_TIMELY_US = 60_000_000
_CHECK_CHEAP_SECONDS, _CHECK_SECONDS = 30.0, 60.0
"""How long the least, and a record, may take in a check: a person waits. A page of a pull may take minutes."""


class _CachedSelection(Struct, frozen=True, kw_only=True):
    """What is asked for until `until`, on our monotonic clock."""

    selection: Selection
    until: float


class WizSource:
    """One tenant as one service account sees it: implements the puller's Source port. Thread-safe."""

    def __init__(
        self,
        settings: WizSettings,
        secret: Callable[[], Secret],
        clock: ApiClock | None = None,
        *,
        pace: Pace | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.clock = clock or ApiClock(monotonic)
        self._monotonic = monotonic
        self._closed = threading.Event()
        self._pace = pace or Pace(settings.rate, monotonic=monotonic)
        redactor = Redactor()
        self._client = Client(
            settings, sending=lambda: self._pace.hold(self._closed), redact=redactor, monotonic=monotonic
        )
        self._tokens = Tokens(settings, secret, self._post_for_token, redactor=redactor, monotonic=monotonic)
        self._background = Pace(settings.rate * settings.sweep_share, monotonic=monotonic)
        self._hurried = False
        self._pruned: dict[str, _CachedSelection] = {}
        self._priming = threading.Lock()
        self._is_checking = False

    def ask(self, ask: Ask, *, projects: tuple[str, ...] | None = None) -> Answer:
        """Ask once; what the API refuses (a field, a lapsed token) or mistimes is asked again without troubling anyone.

        `projects` stand in for those of the settings. Raises SourceUnavailableError, SourceThrottledError,
        AccessRefusedError or ContractBrokenError.
        """
        root = self._root(ask.log_type)
        self.prime()
        chosen = self.settings.projects if projects is None else projects
        variables = root.variables(ask, projects=chosen, page_size=self.settings.page_size)
        refused = list[Token]()
        for _ in range(_MOST_TRIES):
            selection, token = self._selection(root), self._tokens.get(refused=refused[-1] if refused else None)
            if ask.background and not self._hurried:
                self._background.wait(self._closed)
            self._pace.wait(self._closed, patient=ask.suspect)
            sent, now_us, asked_us = self._monotonic(), to_us(self.clock.now()), self.clock.stamp()
            answered = self._post(token, selection.text, variables)
            reply = self._read(answered, root, ask, asked_us, selection)
            match reply:
                case TokenRefused(reason=reason, code=code):
                    self._blame_token(token, root, reason)
                    self._refuse(token, refused, reason, code)
                    continue
                case FieldsRefused(errors=errors):
                    kept = _CachedSelection(
                        selection=without(selection, errors, root), until=self._monotonic() + _FORGET_SECONDS
                    )
                    self._pruned[root.kind.log_type] = kept
                case answer:
                    if self._is_timely(answered, sent, now_us):
                        return self._dated(answer)
            refused.clear()
        raise SourceUnavailableError(
            Phrase(
                "Wiz did not answer about %(title)s with anything usable, %(tries)s times in a row.",
                title=root.title,
                tries=_MOST_TRIES,
            )
        )

    @property
    def primed(self) -> bool:
        """Whether three answers have agreed on what time it is for the API."""
        return self.clock.started

    @property
    def longest_request(self) -> timedelta:
        """A token and a page, each as slow as the settings allow, and once more for what was refused."""
        return timedelta(seconds=3 * self.settings.total_seconds)

    def hurry(self) -> None:
        """Send the requests of sweeps at the full rate: nothing else is being asked."""
        self._hurried = True

    def prime(self) -> None:
        """Send the cheapest request until three answers agree on what time it is for the API.

        Raises what `ask` does.
        """
        if self.clock.started:
            return
        with self._priming:
            self._start_clock()

    def now(self) -> datetime:
        """Return the API's present instant."""
        self.prime()
        return self.clock.now()

    def refused(self, log_type: str) -> frozenset[str]:
        """Return the dotted paths of fields that this account may not ask for, as far as it was tried."""
        kept = self._pruned.get(log_type)
        return kept.selection.refused if kept is not None else frozenset()

    def check(
        self, told: Callable[[str], None] = lambda _: None, found: Callable[[HealthItem], None] = lambda _: None
    ) -> list[HealthItem]:
        """Say item by item whether a pull would work now, and what to do about what does not. Never raises for Wiz.

        `told` hears of each wait for a Wiz that is busy, `found` of each item as soon as it is known.
        """
        self._is_checking = True
        try:
            return check(self, told=told, found=found)
        finally:
            self._is_checking = False

    def api_url(self) -> str:
        """Return the address of the API: the one that was set, else the one that the token names."""
        return self._address(self._tokens.get())

    def fetch_token(self) -> None:
        """Make sure that there is a token. Raises what `ask` does."""
        self._tokens.get()

    def close(self) -> None:
        """Wake up whoever waits to ask, and close every connection."""
        self._closed.set()
        self._client.close()

    def _start_clock(self) -> None:
        refused = list[Token]()
        for _ in range(_MOST_TRIES):
            if self.clock.started:
                return
            token = self._tokens.get(refused=refused[-1] if refused else None)
            self._pace.wait(self._closed)
            reply = self._read_cheap(self._post(token, _CHEAP, {}))
            if reply is None:
                refused.clear()
            else:
                self._refuse(token, refused, reply.reason, reply.code)
        raise SourceUnavailableError(
            Phrase("Wiz's answers have no Date, or their Dates do not agree: is there a proxy in between?")
        )

    def _root(self, log_type: str) -> Root:
        if log_type not in ROOTS:
            raise ContractBrokenError(
                Phrase(
                    "Wiz has no log type %(name)s%(short_names)s",
                    name=log_type,
                    short_names=Phrase(": it has %(known)s.", known=", ".join(ROOTS)),
                )
            )
        return ROOTS[log_type]

    def _address(self, token: Token) -> str:
        return self.settings.api_url or api_url_of(token.value.reveal(), self.settings.token_url)

    def _post_for_token(self, url: str, content: bytes, headers: dict[str, str]) -> HttpAnswer:
        """Send a request for a token: it counts towards the rate, since it may go to the same limiter."""
        self._pace.wait(self._closed)
        answered = self._client.post(url, content, headers, within=_CHECK_CHEAP_SECONDS if self._is_checking else None)
        if answered.status == 429:
            self._pace.complained(answered.wait)
        return answered

    def _post(self, token: Token, query: str, variables: dict[str, Any]) -> HttpAnswer:
        headers = {"Authorization": f"Bearer {token.value.reveal()}", "Content-Type": "application/json"}
        content = msgspec.json.encode({"query": query, "variables": variables})
        within = _CHECK_CHEAP_SECONDS if query == _CHEAP else _CHECK_SECONDS
        return self._client.post(self._address(token), content, headers, within=within if self._is_checking else None)

    def _read(self, answered: HttpAnswer, root: Root, ask: Ask, asked_us: int, selection: Selection) -> Reply:
        try:
            reply = read_answer(answered, root, after=ask.after, asked_us=asked_us, refused=selection.refused)
        except SourceThrottledError as error:
            if ask.suspect:
                self._pace.pardoned()
            else:
                self._pace.complained(error.retry_after)
            raise
        self._pace.answered()
        if not isinstance(reply, TokenRefused):
            self._tokens.accept()
        return reply

    def _read_cheap(self, answered: HttpAnswer) -> TokenRefused | None:
        """Let the clock hear `answered`, whatever else it says, as long as it is the API that says it."""
        try:
            refused = read_cheap(answered)
        except SourceThrottledError as error:
            self._pace.complained(error.retry_after)
            raise
        if refused is None:
            self._tokens.accept()
            if answered.date is not None:
                self.clock.hear(answered.date, answered.heard)
        return refused

    def _blame_token(self, token: Token, root: Root, reason: str) -> None:
        """Make sure that it is `token` which the API does not take, and not what was asked for with it.

        Raises SourceUnavailableError if the API takes it for the cheapest request. An older one is replaced for all
        that: something on the way may answer that request without a look at the token.
        """
        self._pace.wait(self._closed)
        if self._read_cheap(self._post(token, _CHEAP, {})) is not None:
            return
        if self._monotonic() - token.fetched_at < _YOUNG_SECONDS:
            raise SourceUnavailableError(
                Phrase(
                    "Wiz refuses this request about %(title)s, but takes the same token for others: so this time range "
                    "holds a record that Wiz cannot send, or that this account may not read. %(reason)s",
                    title=root.title,
                    reason=reason,
                )
            )

    def _refuse(self, token: Token, refused: list[Token], reason: str, code: str | None) -> None:
        """Add `token`, which the API did not take, to those that it has `refused` in this request.

        Raises SourceUnavailableError when two new ones were refused too, for an API may be slow to take them;
        AccessRefusedError when it has taken none for much longer than that.
        """
        refused.append(token)
        in_a_row = max(len(refused), self._tokens.refuse(token))
        if len(refused) <= _NEW_TOKENS:
            return
        told = Phrase(
            "The API at %(address)s took none of %(in_a_row)s tokens in a row: %(reason)s.",
            address=self._address(token),
            in_a_row=in_a_row,
            reason=reason,
        )
        if in_a_row < _HOPELESS:
            later = Phrase(
                "If this goes on, check that it is of the same tenant and data center as the token URL, which goes on "
                "giving tokens, and that the service account is there and may use the API."
            )
            raise SourceUnavailableError(Phrase("%(what)s %(todo)s", what=told, todo=later), code=code)
        todo = Phrase(
            "Check that it is of the same tenant and data center as the token URL, which goes on giving tokens, and "
            "that the service account is there and may use the API."
        )
        raise AccessRefusedError(Phrase("%(what)s %(todo)s", what=told, todo=todo), code=code)

    def _selection(self, root: Root) -> Selection:
        kept = self._pruned.get(root.kind.log_type)
        if kept is not None and self._monotonic() < kept.until:
            return kept.selection
        return Selection(text=root.document())

    def _dated(self, answer: Answer) -> Answer:
        """Return `answer` with what time it is for the API, now that it has come."""
        match answer:
            case Page():
                return replace(answer, answered_us=to_us(self.clock.now()))
            case Unusable(page=Page() as page):
                return replace(answer, page=replace(page, answered_us=to_us(self.clock.now())))
            case _:
                return answer

    def _is_timely(self, answered: HttpAnswer, sent: float, asked_us: int) -> bool:
        """Let the clock hear `answered`; False when its Date does not fit the time at which it was asked.

        The clock is told when the answer came, not the middle of the exchange: a page can take minutes, and a clock
        that runs behind by those asks for the last of them again, while one ahead would never ask for them.
        """
        date = answered.date
        if date is None or answered.status != 200:
            return True
        if not self.clock.hear(date, answered.heard):
            return False
        took_us = round((answered.heard - sent) * 1_000_000)
        return abs(to_us(date) - asked_us) <= _TIMELY_US + took_us
