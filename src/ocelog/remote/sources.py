"""Sources of a remote Ocelog, how they are, and what is known of their logs."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from ocelog.app.sources.source_showing import SourceView
from ocelog.app.status.status import Gap
from ocelog.app.status.status_report import StatusReport
from ocelog.errors import ConfigError
from ocelog.pull.ports import HealthItem, HealthState
from ocelog.remote.client import Client
from ocelog.remote.values import instant_of, us_of


class Sources(Struct, frozen=True):
    """The sources there."""

    client: Client

    def every(self) -> list[SourceView]:
        """Return what is shown of each source."""
        items = list(self.client.pages("sources"))
        with self.client.reading():
            return sorted(map(_view, items), key=lambda each: (each.added_us or 0, each.id))

    def find(self, name: str) -> SourceView:
        """Return what is shown of the source of that name. Raises OcelogError."""
        found = self.client.get("sources", name)
        with self.client.reading():
            return _view(found)

    def one(self, name: str) -> SourceView:
        """Return what is shown of the source of that name. Raises ConfigError if it is damaged, too."""
        found = self.find(name)
        if found.damaged is not None:
            raise ConfigError(found.damaged)
        return found

    def check(self, source_id: str) -> list[HealthItem]:
        """Have a source asked for a little of everything."""
        found = self.client.send("POST", "sources", source_id, "check")
        with self.client.reading():
            return [
                HealthItem(
                    name=each["name"],
                    state=HealthState(each["state"]),
                    text=each["text"],
                    todo=each["todo"],
                    later=each["later"],
                )
                for each in found["items"]
            ]

    def add(self, body: Mapping[str, Any]) -> SourceView:
        """Have a source added, once it works; `body` is a `NewSource` of the API."""
        found = self.client.send("POST", "sources", body=body)
        with self.client.reading():
            return _view(found)

    def edit(self, name: str, body: Mapping[str, Any]) -> SourceView:
        """Have a source changed; `body` is a `SourceEdit` of the API."""
        found = self.client.send("PATCH", "sources", name, body=body)
        with self.client.reading():
            return _view(found)

    def rotate(self, name: str, body: Mapping[str, Any]) -> None:
        """Have a secret put in the place of the present one, once it works; `body` is a `NewSecret` of the API."""
        self.client.send("POST", "sources", name, "secret", body=body)

    def remove(self, name: str) -> None:
        """Have a source read no more, and its secret forgotten."""
        self.client.send("DELETE", "sources", name)

    def pause(self, name: str, *, paused: bool) -> None:
        """Have a source read no more, or again."""
        self.client.send("PATCH", "sources", name, body={"paused": paused})

    def status(self, *, source: str | None, max_lag: str) -> StatusReport:
        """Return how everything is, or the streams of one source."""
        found = self.client.get("status", source=source, max_lag=max_lag)
        names = ("first", "urgent", "streams", "details", "notes", "service", "idle", "machine", "values")
        with self.client.reading():
            return StatusReport(well=bool(found["well"]), **{name: found[name] for name in names})

    def coverage(self, source: str | None) -> "Coverage":
        """Return what each source counts beside what the lake has."""
        found = self.client.get("coverage", source=source)
        with self.client.reading():
            gaps = [(each["source"], each["log_type"], _gap(each)) for each in found["items"]]
            return Coverage(gaps=gaps, lacking=list(found["not_measured"]), damaged=list(found["damaged"]))

    def replay(self) -> Mapping[str, Any]:
        """Have rejected records tried again."""
        done: Mapping[str, Any] = self.client.send("POST", "rejections", "replay")
        return done


class Coverage(Struct, frozen=True, kw_only=True):
    """What was measured."""

    gaps: list[tuple[str, str, Gap]]
    """Source, log type, and what was counted."""
    lacking: list[str]
    damaged: list[str]


def _gap(found: Mapping[str, Any]) -> Gap:
    return Gap(
        status=found["status"],
        at_source=found["at_source"],
        at_least=found["at_least"],
        in_lake=found["in_lake"],
        measured=instant_of(found["measured_at"]),
    )


def _view(found: Mapping[str, Any]) -> SourceView:
    same = ("id", "name", "product", "paused", "secret_kept", "damaged", "settings", "log_types", "projects")
    more = ("backfill", "sweep", "sweep_every", "poll", "no_events")
    values = {name: found[name] for name in (*same, *more)}
    return SourceView(**values, added_us=us_of(found["added_at"]))
