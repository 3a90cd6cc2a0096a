"""Which streams an installation has, where the settings of one source do not hold."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from ocelog.app.assemble import Assembly
from ocelog.app.sources import sources
from ocelog.app.sources.source_changes import Listener, SourceChange, edit
from ocelog.app.sources.sources import GivenSecret, row_of
from ocelog.errors import SourceUnavailableError
from ocelog.installation.making import make
from ocelog.installation.opening import opened
from ocelog.pull.stream import Stream
from ocelog.secrets.secret import Secret
from ocelog.sources.registry import SOURCES
from ocelog.sources.wiz.settings import from_mapping

SETTINGS = from_mapping({"token_url": "cognito", "client_id": "x", "log_types": ["issues"]})


@pytest.mark.parametrize(
    "damage",
    [
        {"wiz": None},
        {"wiz": {"token_url": "cognito"}},
        {"wiz": {"token_url": "cognito", "client_id": "x", "log_types": 5}},
        {"wiz": {"token_url": "cognito", "client_id": "x", "foo": 5}},
        {"poll": "often"},
        {"backfill": None},
    ],
)
def test_a_source_whose_settings_do_not_hold_is_told_once_and_leaves_the_others(
    tmp_path: Path, damage: dict[str, object]
) -> None:
    make(tmp_path / "home", ledger_url=None)
    with opened(tmp_path / "home") as installation:
        row = row_of("damaged", SETTINGS, {})
        installation.ledger.sources.add(replace(row, settings={**row.settings, **damage}))
        installation.ledger.sources.add(row_of("whole", SETTINGS, {}))
        assembly = Assembly(installation=installation, told=lambda *_: None)
        with capture_logs() as logs:
            for _ in range(3):
                assert [stream.row.name for stream in assembly.streams()] == ["whole"]
    assert [line["source"] for line in logs] == ["damaged"]
    assert list(assembly.damaged) == ["damaged"]
    told = str(assembly.damaged["damaged"])
    assert "'damaged'" in told
    assert "ocelog source remove damaged" in told


def test_a_source_is_taken_up_anew_whenever_its_secret_or_the_key_changes(tmp_path: Path) -> None:
    make(tmp_path / "home", ledger_url=None)
    secret_file = tmp_path / "secret"
    secret_file.write_text("one")
    with opened(tmp_path / "home") as installation:
        for name in ("prod", "other"):
            sources.add(installation, row_of(name, SETTINGS, {}), GivenSecret(value=Secret("first")))
        assembly = Assembly(installation=installation, told=lambda *_: None)

        def changed() -> list[str]:
            """Return the sources whose streams are not those of the last look."""
            before = dict(known)
            known.update((stream.row.name, stream) for stream in assembly.streams())
            return [name for name, stream in known.items() if before.get(name) is not stream]

        def put(reference: str | None = None) -> None:
            row, secret = sources.find(installation, "prod"), GivenSecret(value=Secret("second"), reference=reference)
            installation.ledger.sources.save(row, [sources.kept_secret(installation.vault(), row, secret)])

        known: dict[str, Stream] = {}
        assert (changed(), changed()) == (["prod", "other"], [])
        put()
        assert (changed(), changed()) == (["prod"], [])
        put(f"file:{secret_file}")
        assert (changed(), changed()) == (["prod"], [])
        secret_file.write_text("another")
        assert (changed(), changed()) == (["prod"], [])
        put("env:WIZ_SECRET")
        assert (changed(), changed()) == (["prod"], [])
        installation.home.key_file.chmod(0o600)
        installation.home.key_file.write_bytes(installation.home.key_file.read_bytes() + b"\n")
        assert (changed(), changed()) == (["prod", "other"], [])


@pytest.mark.parametrize("own", [{"token_url": "fedramp"}, {"client_id": "another"}, None])
def test_a_new_secret_goes_to_no_address_and_no_account_that_it_came_to_replace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: dict[str, str] | None
) -> None:
    """A service that has not noticed the change yet, or is reading on, asks for its next token by what it knows."""
    make(tmp_path / "home", ledger_url=None)
    asked = list[Callable[[], Secret]]()
    connector = type(SOURCES["wiz"].connector())
    connect = connector.connect

    def connected(self: Any, source_id: str, settings: Any, secret: Callable[[], Secret], clock: Any) -> Any:
        asked.append(secret)
        return connect(self, source_id, settings, secret, clock)

    monkeypatch.setattr(connector, "connect", connected)
    with opened(tmp_path / "home") as installation:
        sources.add(installation, row_of("prod", SETTINGS, {}), GivenSecret(value=Secret("old")))
        assembly = Assembly(installation=installation, told=lambda *_: None)
        assembly.streams()
        (before_it,) = asked
        assert before_it() == Secret("old")
        before = sources.find(installation, "prod")
        if own is None:
            installation.ledger.sources.remove(before.id)
        else:
            change = SourceChange(own=own, secret=GivenSecret(value=Secret("new")), check=False)
            edit(installation, before, change, Listener())
        with pytest.raises(SourceUnavailableError, match="has just been changed"):
            before_it()
        if own is not None:
            assembly.streams()
            assert asked[1]() == Secret("new")
