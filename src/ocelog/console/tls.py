"""TLS by files: a certificate that was renewed is taken without a restart."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from ocelog.errors import ConfigError

log = structlog.get_logger()


@dataclass(slots=True, kw_only=True)
class Tls:
    """A certificate with its key, as they are in their files now."""

    certificate: Path
    """In PEM, with the certificates that lead up to the authority behind it."""
    key: Path
    _context: ssl.SSLContext = field(init=False)
    _mark: object = None

    def __post_init__(self) -> None:
        self._mark = self._marks()
        self._context = self._read()

    def context(self) -> ssl.SSLContext:
        """Return what the next connection is opened with. While new files do not hold, the old ones do."""
        mark = self._marks()
        if mark != self._mark:
            self._mark = mark
            try:
                self._context = self._read()
            except ConfigError as error:
                log.warning("certificate not renewed", reason=str(error), todo="The one from before is used.")
            else:
                log.info("certificate renewed", file=str(self.certificate))
        return self._context

    def _marks(self) -> object:
        found = list[tuple[int, int, int] | None]()
        for path in (self.certificate, self.key):
            try:
                stat = path.stat()
            except OSError:
                found.append(None)
            else:
                found.append((stat.st_mtime_ns, stat.st_size, stat.st_ino))
        return found

    def _read(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        for path in (self.certificate, self.key):
            if not path.is_file():
                raise ConfigError(
                    f"{path} is not a file that can be read: name the certificate's PEM file and its key."
                )
        try:
            # An empty password: none is asked for on the terminal.
            context.load_cert_chain(self.certificate, self.key, password="")
        except (OSError, ValueError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
            raise ConfigError(
                f"{self.certificate} and {self.key} do not serve as a certificate with its key ({reason}): both must "
                "be PEM files that belong together, and the key must not have a password."
            ) from None
        return context
