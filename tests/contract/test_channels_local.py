"""The channels that stay on this machine: a file and the standard output; and how a channel is set up."""

import errno
import json
import os
import resource
import select
import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from ocelog.channels.file import JsonFile
from ocelog.channels.ports import Channel
from ocelog.channels.registry import CHANNELS, parse
from ocelog.channels.stdout import Stdout
from ocelog.errors import ChannelRefusedError, ChannelUnavailableError, ConfigError
from ocelog.secrets.secret import Secret
from receivers.given import channel_of
from receivers.notices import HOSTILE, notice


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def channel(kind: str, home: Path, **given: Any) -> Channel:
    return channel_of(kind, given, home=home)


def test_a_file_gets_a_line_for_each_notice_and_is_its_owners_alone(tmp_path: Path, home: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    to = channel("file", home, path=str(path))
    assert to.send(notice()).status == "written"
    to.send(notice(title=HOSTILE))
    told = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert [each["title"] for each in told] == [notice().title, HOSTILE]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_bytes().isascii()
    assert b"\x1b" not in path.read_bytes()


def test_a_line_that_broke_off_does_not_spoil_the_next(tmp_path: Path, home: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    path.write_text('{"cut')
    channel("file", home, path=str(path)).send(notice())
    assert json.loads(path.read_text().splitlines()[1])["alertId"] == "3f2a"


def test_many_threads_write_whole_lines(tmp_path: Path, home: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    to = channel("file", home, path=str(path))
    threads = [threading.Thread(target=lambda: [to.send(notice()) for _ in range(5)]) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(30)
    assert [json.loads(line)["alertId"] for line in path.read_text().splitlines()] == ["3f2a"] * 20


def test_a_full_disk_may_have_room_later(tmp_path: Path, home: Path) -> None:
    to = channel("file", home, path=str(tmp_path / "alerts.jsonl"))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(ChannelUnavailableError, match="disk is full") as caught:
            to.send(notice())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.code == "disk_full"
    to.send(notice())


@contextmanager
def hanging_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Let nothing be synced within the block, as on a file server that is gone; yield who waits for it."""
    back, waiting = threading.Event(), list[int]()

    def fsync(descriptor: int) -> None:
        waiting.append(descriptor)
        back.wait(30)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fsync)
        yield waiting
        back.set()


def test_a_disk_that_hangs_holds_up_a_file_for_a_bounded_time(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    to = JsonFile(path=tmp_path / "alerts.jsonl", home=home, seconds=0.05)
    to.path.touch()
    with hanging_disk(monkeypatch) as waiting:
        for _ in range(3):
            with pytest.raises(ChannelUnavailableError, match="may hang"):
                to.send(notice())
        # However often it is tried: one waits.
        assert len(waiting) == 1
    JsonFile(path=to.path, home=home).send(notice())


def laid(at: Path, kind: str, elsewhere: Path) -> None:
    match kind:
        case "link":
            elsewhere.write_text("")
            at.symlink_to(elsewhere)
        case "dangling link":
            at.symlink_to(elsewhere)
        case "pipe":
            os.mkfifo(at)
        case "folder":
            at.mkdir()
        case "socket":
            with socket.socket(socket.AF_UNIX) as made:
                made.bind(str(at))


@pytest.mark.parametrize("what", ["link", "dangling link", "pipe", "folder", "socket"])
def test_what_is_no_regular_file_is_refused_when_it_is_set_and_when_it_is_written(
    tmp_path: Path, home: Path, what: str
) -> None:
    path = tmp_path / "a.jsonl"
    to = channel("file", home, path=str(path))
    laid(path, what, tmp_path / "other")
    with pytest.raises(ChannelRefusedError, match="regular file"):
        to.send(notice())
    with pytest.raises(ConfigError, match="regular file"):
        channel("file", home, path=str(path))
    assert not (tmp_path / "other").exists() or (tmp_path / "other").read_text() == ""


def _read_only(path: Path, *_: object) -> int:
    raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))


def test_a_file_that_cannot_be_written_is_refused_when_it_is_set(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, new = tmp_path / "there.jsonl", tmp_path / "new.jsonl"
    there.touch()
    channel("file", home, path=str(there))
    with monkeypatch.context() as patched:
        patched.setattr("os.open", _read_only)
        with pytest.raises(
            ConfigError, match=r"there\.jsonl cannot be written: Read-only .*, or name a file elsewhere"
        ):
            channel("file", home, path=str(there))
    channel("file", home, path=str(new))
    assert not new.exists()
    monkeypatch.setattr("os.access", lambda path, _mode: path != tmp_path)
    with pytest.raises(ConfigError, match=r"new\.jsonl cannot be written: Permission denied"):
        channel("file", home, path=str(new))


def test_a_second_name_of_a_file_is_refused(tmp_path: Path, home: Path) -> None:
    (home / "key").write_text("the key")
    os.link(home / "key", tmp_path / "a.jsonl")
    with pytest.raises(ChannelRefusedError, match="regular file"):
        channel("file", home, path=str(tmp_path / "a.jsonl")).send(notice())
    assert (home / "key").read_text() == "the key"


def test_nothing_is_written_into_the_home_not_by_way_of_a_link_either(tmp_path: Path, home: Path) -> None:
    (tmp_path / "way").symlink_to(home)
    (home / "lake").mkdir()
    for path in (home / "a", home / "lake" / "a", tmp_path / "way" / "a", home / "lake" / ".." / "a"):
        with pytest.raises(ConfigError, match="home"):
            channel("file", home, path=str(path))
    (tmp_path / "logs").mkdir()
    to = channel("file", home, path=str(tmp_path / "logs" / "a"))
    (tmp_path / "logs").rmdir()
    (tmp_path / "logs").symlink_to(home)
    with pytest.raises(ChannelRefusedError, match="home"):
        to.send(notice())
    assert sorted(each.name for each in home.iterdir()) == ["lake"]


@pytest.mark.parametrize("path", ["alerts.jsonl", "", "/dev/null", "/nowhere/at/all.jsonl"])
def test_a_path_that_will_not_do_is_told(home: Path, path: str) -> None:
    with pytest.raises(ConfigError):
        channel("file", home, path=path)


def test_the_standard_output_gets_one_line_that_steers_no_terminal() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as out:
        Stdout(descriptor=writing).send(notice(title=HOSTILE * 50, alert_id=HOSTILE))
        os.close(writing)
        line = out.read().decode()
    assert line.startswith("[HIGH] ")
    assert line.count("\n") == 1
    assert line.rstrip("\n").isprintable()
    assert len(line) < 1_100
    assert "alert=" in line


def test_an_output_that_nobody_reads_holds_nothing_up() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while os.write(writing, b"x" * 65_536):
            pass
    with pytest.raises(ChannelUnavailableError, match="Nobody reads"):
        Stdout(descriptor=writing, waits=0.05).send(notice())
    os.close(reading)
    with pytest.raises(ChannelUnavailableError):
        Stdout(descriptor=writing, waits=0.05).send(notice())
    os.close(writing)


class Room:
    """Finds room in any pipe, as a look that another writer was quicker than."""

    def register(self, *_: int) -> None:
        pass

    def poll(self, _: float) -> list[int]:
        return [1]


def test_an_output_whose_room_another_took_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while os.write(writing, b"x" * 65_536):
            pass
    os.set_blocking(writing, True)
    monkeypatch.setattr(select, "poll", Room)
    with pytest.raises(ChannelUnavailableError, match="Nobody reads"):
        Stdout(descriptor=writing, waits=0.05).send(notice())
    # Whoever was left behind ends.
    os.close(reading)


# How a channel is set up.


def test_a_misspelt_kind_or_setting_gets_the_nearest_name(home: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'webhook'"):
        channel("webhok", home)
    with pytest.raises(ConfigError, match="did you mean 'signing_key'"):
        channel("webhook", home, singing_key="x")


@pytest.mark.parametrize("kind", CHANNELS.values(), ids=lambda kind: kind.name)
def test_a_setting_that_is_needed_is_asked_for_with_an_example(kind: Any, home: Path) -> None:
    needed = [each for each in kind.settings if each.required]
    if needed:
        with pytest.raises(ConfigError, match=f"needs {needed[0].name}, such as"):
            channel(kind.name, home)
    assert all(each.help and each.example for each in kind.settings)


PASTED = "hvs.CAESIJ8xPasted0123456789abcdefghijklmnop"


@pytest.mark.parametrize("kind", CHANNELS)
@pytest.mark.parametrize("place", ["kind", "name", "value"])
def test_a_secret_in_the_wrong_place_is_not_repeated(kind: str, place: str, home: Path) -> None:
    tried = list[dict[str, Any]]()
    if place == "value":
        tried = [{each.name: PASTED} for each in CHANNELS[kind].settings]
        tried += [{each.name: f"https://u:{PASTED}@x/{PASTED}"} for each in CHANNELS[kind].settings]
        tried += [{each.name: f"ftp://{PASTED} /{PASTED}"} for each in CHANNELS[kind].settings]
    elif place == "name":
        tried = [{PASTED: "x"}]
    else:
        tried, kind = [{}], PASTED
    for given in tried:
        with pytest.raises(ConfigError) as caught:
            channel(kind, home, **given)
        assert PASTED not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"url": "http://hooks.example.com"}, "must begin with https"),
        ({"url": "http://hooks.example.com"}, "--set allow_private=yes"),
        ({"url": "https://me:pw@hooks.example.com"}, "header"),
        ({"url": "https://hooks.example.com/a b"}, "%20"),
        ({"url": "https://hooks.example.com:99999/"}, "such as"),
        ({"url": "hooks.example.com"}, "such as"),
        ({"url": "https://h.example", "allow_private": "perhaps"}, "yes or no"),
        ({"url": "https://h.example", "signing_key": "short"}, "16 characters"),
        ({"url": "https://h.example", "headers": {"Bad Name": "x"}}, "header"),
        ({"url": "https://h.example", "headers": {"Host": "x"}}, "Ocelog sends that"),
        ({"url": "https://h.example", "headers": {"X-A": "x\r\nX-B: y"}}, "one line"),
        ({"url": "https://h.example", "headers": "no colon"}, "one header per line"),
        ({"url": "https://h.example", "headers": [1]}, "maps"),
        ({"url": "https://h.example", "ca_file": "/nowhere/ca.pem"}, "not there"),
    ],
)
def test_what_is_wrong_with_a_webhook_is_told(home: Path, given: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        channel("webhook", home, **given)


def test_headers_may_be_text(home: Path) -> None:
    to: Any = channel("webhook", home, url="https://h.example", headers="X-A: 1\n\nX-B: two: 2\n")
    assert {name: value.reveal() for name, value in to.headers.items()} == {"X-A": "1", "X-B": "two: 2"}


def test_a_secret_is_not_taken_from_what_is_shown(home: Path) -> None:
    with pytest.raises(ConfigError, match="is a secret"):
        parse("webhook", {"url": "https://h.example"}, None, home=home)


@pytest.mark.parametrize("text", ["", "not json", "[]", '"x"', '{"nothing": 1}'])
def test_a_kept_secret_that_cannot_be_read_is_told(home: Path, text: str) -> None:
    with pytest.raises(ConfigError):
        parse("webhook", {}, Secret(text), home=home)
