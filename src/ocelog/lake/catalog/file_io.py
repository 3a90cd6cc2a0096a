"""How PyIceberg reads and writes a table's metadata, so that a commit never outlives the files it names.

PyIceberg's own file access leaves what it wrote to the operating system's caches, while the catalog's commit is on
disk at once: after a power failure a table could name metadata that is empty. These classes fit PyIceberg's ports for
files without descending from them, and only know local paths.
"""

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Self, cast

from ocelog.files import check_regular
from ocelog.lake.storage.disk import make_directory, sync_directory, write_new

if TYPE_CHECKING:
    from pyiceberg.io import FileIO

IMPLEMENTATION = f"{__name__}.DurableIO"
"""Value of the catalog property py-io-impl. No table property: other engines must not look for it."""


def local_path(location: str) -> Path:
    """Return the path that `location`, a plain path or a file URI, names."""
    return Path(location.removeprefix("file://"))


def durable_io() -> "FileIO":
    """Return file access as PyIceberg expects it."""
    return cast("FileIO", DurableIO({}))


class DurableIO:
    """Fits pyiceberg.io.FileIO."""

    def __init__(self, properties: Mapping[str, str]) -> None:
        self.properties = dict(properties)

    def new_input(self, location: str) -> "LocalInput":
        """Open what is there."""
        return LocalInput(location)

    def new_output(self, location: str) -> "LocalOutput":
        """Begin a file that is not there yet."""
        return LocalOutput(location)

    def delete(self, location: object) -> None:
        """Delete a file, given by its location or as one of the files below."""
        local_path(str(getattr(location, "location", location))).unlink()


class LocalInput:
    """Fits pyiceberg.io.InputFile."""

    def __init__(self, location: str) -> None:
        self.location = location

    def __len__(self) -> int:
        return local_path(self.location).stat().st_size

    def exists(self) -> bool:
        """Tell whether the file is there."""
        return local_path(self.location).exists()

    def open(self, seekable: bool = True) -> IO[bytes]:  # noqa: ARG002, FBT001, FBT002 - PyIceberg's signature
        """Open it for reading. Raises OSError also for what is not a regular file."""
        path = local_path(self.location)
        check_regular(path)
        return path.open("rb")


class LocalOutput:
    """Fits pyiceberg.io.OutputFile."""

    def __init__(self, location: str) -> None:
        self.location = location

    def __len__(self) -> int:
        return local_path(self.location).stat().st_size

    def exists(self) -> bool:
        """Tell whether the file is there."""
        return local_path(self.location).exists()

    def to_input_file(self) -> LocalInput:
        """Read what was written."""
        return LocalInput(self.location)

    def create(self, overwrite: bool = False) -> "DurableStream":  # noqa: FBT001, FBT002 - PyIceberg's signature
        """Begin writing; nothing is under the file's name before the stream is closed."""
        path = local_path(self.location)
        if path.exists():
            if not overwrite:
                raise FileExistsError(self.location)
            path.unlink()
        return DurableStream(path)


class DurableStream:
    """Fits pyiceberg.io.OutputStream: keeps a small file in memory, and has it on disk when `close` returns."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._buffer = BytesIO()
        self.closed = False

    def write(self, content: bytes) -> int:
        """Take in more bytes."""
        return self._buffer.write(content)

    def tell(self) -> int:
        """Return how many bytes were taken in."""
        return self._buffer.tell()

    def close(self) -> None:
        """Write the file, synced together with its directory."""
        if self.closed:
            return
        self.closed = True
        if not self._path.parent.exists():
            make_directory(self._path.parent)
        write_new(self._path, self._buffer.getbuffer())
        sync_directory(self._path.parent)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        self.closed = True
