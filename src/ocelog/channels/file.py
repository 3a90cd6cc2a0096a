"""A file as a channel: one JSON line for each notice, for a log collector."""

import errno
import os
import stat
from pathlib import Path

from msgspec import Struct

from ocelog.alert.notice import Notice
from ocelog.channels.bounded import LONGEST_SECONDS, within
from ocelog.channels.kind import ChannelKind, Setting, Values
from ocelog.channels.payload import canonical, payload
from ocelog.channels.ports import Receipt
from ocelog.errors import ChannelRefusedError, ChannelUnavailableError, ConfigError
from ocelog.languages.phrases import Phrase
from ocelog.secrets.secret import hidden, shown, shown_path

_EXAMPLE = "/var/log/ocelog/alerts.jsonl"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FLAGS = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


class JsonFile(Struct, frozen=True, kw_only=True):
    """Appends to a file, which it makes if it is not there, for its owner alone. It never rotates it."""

    path: Path
    home: Path
    seconds: float = LONGEST_SECONDS
    """How long a disk may take for all of it."""

    @property
    def address(self) -> str:
        """Nothing here is a secret."""
        return shown_path(self.path)

    def send(self, notice: Notice) -> Receipt:
        """Append one line, and wait until the disk has it."""
        line = canonical(payload(notice)) + b"\n"
        within(self.seconds, str(self.path), lambda: self._write(line), otherwise=_hangs(self.path))
        return Receipt(status="written", text=f"{len(line)} bytes")

    def _write(self, line: bytes) -> None:
        try:
            descriptor = self._open()
            try:
                self._append(descriptor, line)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise self._failed(error) from error

    def _open(self) -> int:
        # A link in a folder above may have been laid since the channel was set up.
        if is_inside(self.path, self.home):
            raise ChannelRefusedError(
                Phrase("%(address)s lies in Ocelog's home: name a file elsewhere.", address=self.address)
            )
        try:
            return os.open(self.path, _FLAGS)
        except FileNotFoundError:
            descriptor = os.open(self.path, _FLAGS | os.O_CREAT, 0o600)
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return descriptor

    def _append(self, descriptor: int, line: bytes) -> None:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
            raise ChannelRefusedError(
                Phrase("%(address)s is not a regular file of its own: name another.", address=self.address)
            )
        if found.st_size and os.pread(descriptor, 1, found.st_size - 1) != b"\n":
            # What broke off, such as when the disk was full, must not spoil this line too.
            line = b"\n" + line
        if os.write(descriptor, line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(descriptor)

    def _failed(self, error: OSError) -> ChannelRefusedError | ChannelUnavailableError:
        if error.errno in _FULL:
            return ChannelUnavailableError(
                Phrase("The disk is full: %(address)s could not be written. Free some space.", address=self.address),
                code="disk_full",
            )
        if error.errno in {errno.ELOOP, errno.ENXIO, errno.EISDIR}:
            return ChannelRefusedError(
                Phrase("%(address)s is a link, a folder or a pipe: name a regular file.", address=self.address)
            )
        if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR}:
            return ChannelRefusedError(
                Phrase("%(address)s cannot be written: %(strerror)s.", address=self.address, strerror=error.strerror)
            )
        return ChannelUnavailableError(
            Phrase("%(address)s could not be written: %(strerror)s.", address=self.address, strerror=error.strerror)
        )


def is_inside(path: Path, home: Path) -> bool:
    """Whether a file lies in Ocelog's home, links in the folders above it followed."""
    return path.parent.resolve().is_relative_to(home.resolve())


def _build(values: Values) -> JsonFile:
    text = values.text("path", example=_EXAMPLE)
    path = Path(text)
    if not path.is_absolute() or "\0" in text:
        given = hidden(text) if "://" in text else shown(text)
        raise ConfigError(
            Phrase(
                "The path of a file channel begins with a slash, such as %(example)s, not %(given)s.",
                example=_EXAMPLE,
                given=given,
            )
        )
    within(LONGEST_SECONDS, text, lambda: _check(path, values.home), otherwise=_hangs(path))
    return JsonFile(path=path, home=values.home)


def _hangs(path: Path) -> str:
    return f"The disk of {shown_path(path)} did not answer in time: it may hang."


def _check(path: Path, home: Path) -> None:
    if not path.parent.is_dir():
        raise ConfigError(
            Phrase(
                "The folder %(parent)s is not there: make it, or name a file elsewhere.", parent=shown_path(path.parent)
            )
        )
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise ConfigError(
            Phrase(
                "%(path)s is not a regular file: a link, a folder, a pipe or a device is not written.",
                path=shown_path(path),
            )
        )
    if is_inside(path, home):
        raise ConfigError(
            Phrase(
                "%(path)s lies in Ocelog's home, which holds nothing but its own files: name a file elsewhere.",
                path=shown_path(path),
            )
        )
    try:
        _try_to_open(path)
    except OSError as error:
        raise ConfigError(
            Phrase(
                "%(path)s cannot be written: %(strerror)s. Let the user of Ocelog write it, or name a file elsewhere.",
                path=shown_path(path),
                strerror=error.strerror,
            )
        ) from error


def _try_to_open(path: Path) -> None:
    """Raise OSError if the file cannot be opened for appending; one that is not there yet is not made."""
    if path.exists():
        os.close(os.open(path, _FLAGS))
    elif os.statvfs(path.parent).f_flag & os.ST_RDONLY:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))
    elif not os.access(path.parent, os.W_OK | os.X_OK):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))


FILE = ChannelKind(
    name="file",
    title="File: one JSON line for each message",
    settings=(
        Setting(
            name="path",
            label="File",
            help="file to append to, outside Ocelog's home",
            example=_EXAMPLE,
            required=True,
        ),
    ),
    build=_build,
)
