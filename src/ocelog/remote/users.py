"""Users of a remote Ocelog, and their tokens."""

from msgspec import Struct

from ocelog.access import ApiToken, Role, Scope, User
from ocelog.remote.client import Client
from ocelog.remote.values import us_of


class Users(Struct, frozen=True):
    """The users there."""

    client: Client

    def me(self) -> str:
        """Return whose token it is."""
        found = self.client.get("me")
        with self.client.reading():
            return str(found["user"])

    def listed(self) -> list[User]:
        """Return the users."""
        items = list(self.client.pages("users"))
        with self.client.reading():
            return [
                User(
                    id="",
                    name=each["name"],
                    role=Role(each["role"]),
                    added_us=us_of(each["added_at"]) or 0,
                    disabled_us=us_of(each["disabled_at"]),
                )
                for each in items
            ]

    def tokens(self) -> list[tuple[ApiToken, str]]:
        """Return the tokens, each with the name of its user, the newest first."""
        items = list(self.client.pages("tokens"))
        with self.client.reading():
            found = [
                (
                    ApiToken(
                        id=each["id"],
                        user_id="",
                        name=each["name"],
                        scope=Scope(each["scope"]),
                        made_by=each["made_by"],
                        made_us=us_of(each["made_at"]) or 0,
                        ends_us=us_of(each["ends_at"]) or 0,
                        used_us=us_of(each["used_at"]),
                    ),
                    str(each["user"]),
                )
                for each in items
            ]
        return sorted(found, key=lambda each: (-each[0].made_us, each[0].id))
