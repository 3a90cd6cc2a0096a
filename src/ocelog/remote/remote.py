"""Everything that can be asked of a remote Ocelog."""

from typing import TYPE_CHECKING

from msgspec import Struct

from ocelog.remote.client import Client
from ocelog.remote.users import Users

if TYPE_CHECKING:
    # Imported where they are used: most commands are about one of them.
    from ocelog.remote.alerts import Alerts
    from ocelog.remote.channels import Channels
    from ocelog.remote.lake import Lake
    from ocelog.remote.rules import Rules
    from ocelog.remote.sources import Sources


class Remote(Struct, frozen=True):
    """A remote Ocelog."""

    client: Client

    @property
    def alerts(self) -> "Alerts":
        """Its alerts."""
        from ocelog.remote.alerts import Alerts  # noqa: PLC0415 - see above

        return Alerts(self.client)

    @property
    def channels(self) -> "Channels":
        """Its channels."""
        from ocelog.remote.channels import Channels  # noqa: PLC0415 - see above

        return Channels(self.client)

    @property
    def lake(self) -> "Lake":
        """Its lake."""
        from ocelog.remote.lake import Lake  # noqa: PLC0415 - see above

        return Lake(self.client)

    @property
    def rules(self) -> "Rules":
        """Its rules."""
        from ocelog.remote.rules import Rules  # noqa: PLC0415 - see above

        return Rules(self.client)

    @property
    def sources(self) -> "Sources":
        """Its sources, and how it is."""
        from ocelog.remote.sources import Sources  # noqa: PLC0415 - see above

        return Sources(self.client)

    @property
    def users(self) -> Users:
        """Its users."""
        return Users(self.client)
