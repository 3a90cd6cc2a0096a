"""The link of the demo: it signs in one browser of this machine, once."""

import re
from collections.abc import Callable

import pytest

from ocelog.access import Role
from ocelog.app.users import users
from ocelog.console import serving
from ocelog.console.endpoints import endpoints
from ocelog.console.front import Front
from ocelog.console.invitation import Invitation
from ocelog.console.site import site
from visiting import Console


@pytest.fixture
def invite(console: Console) -> Callable[[], Invitation]:
    def invite() -> Invitation:
        """Serve anew, as another demo in the same home does; who has signed in stays so."""
        invitation = Invitation(name=users.invited(console.installation, "demo").name)
        looked = endpoints(console.installation, turned_at=lambda: 0.0, front=Front())
        console.site = site(console.installation, looked, invitation)
        return invitation

    return invite


def test_it_signs_in_one_browser_once(console: Console, invite: Callable[[], Invitation]) -> None:
    invitation = invite()
    first, second, third = console.guest(), console.guest(), console.guest()
    assert third.get("/demo?token=a%ED%A0%80guess").status_code == 403
    assert first.get(invitation.path).headers["location"] == "/"
    assert first.get("/sources").status_code == 200
    assert first.get("/users").status_code == 200, "an admin"
    refused = second.get(invitation.path)
    assert (refused.status_code, "set-cookie" in refused.headers) == (403, False)
    assert second.get("/").status_code == 303
    assert first.get(invitation.path).headers["location"] == "/", "the same browser opens it again"
    assert [(each.name, each.role) for each in users.listed(console.installation)] == [("demo", Role.ADMIN)]
    later = invite()
    assert console.guest().get(invitation.path).status_code == 403, "the link of the demo before"
    (demo,) = users.listed(console.installation)
    browser = console.guest()
    browser.client.cookies = first.client.cookies
    assert browser.get(later.path).headers["location"] == "/"
    assert len(users.sessions(console.installation, demo)) == 1, "the session before has ended"


def test_who_signs_out_comes_back_by_the_link_that_is_printed_then(
    console: Console, invite: Callable[[], Invitation]
) -> None:
    invitation, printed = invite(), list[str]()
    invitation.told = printed.append
    me, other = console.guest(), console.guest()
    for _ in range(3):
        other.post("/demo")
    assert printed == [], "the first link still works, and nobody fills the terminal"
    before = invitation.path
    assert me.get(before).status_code == 303
    me.token = re.findall(r'name="csrf" content="(\w+)"', me.get("/account").text)[0]
    me.post("/sign-out")
    assert (me.get("/sources").status_code, len(printed)) == (303, 1)
    assert "Print a new link" in me.get("/sign-in").text
    assert me.get(before).status_code == 403
    assert me.get(printed[0]).headers["location"] == "/"
    assert other.get(printed[0]).status_code == 403
    other.post("/demo")
    assert len(printed) == 2, "for another browser"
    other.post("/demo", headers={"sec-fetch-site": "cross-site"})
    assert other.get(printed[1]).status_code == 303


def test_without_an_invitation_nobody_is_let_in(console: Console) -> None:
    assert "Print a new link" not in console.guest().get("/sign-in").text
    assert console.guest().post("/demo").headers["location"] == "/sign-in"
    for token in ("", "None", "x"):
        assert console.guest().get(f"/demo?token={token}").status_code == 403


def test_nobody_signs_in_with_a_password_as_whom_a_link_lets_in(
    console: Console, invite: Callable[[], Invitation]
) -> None:
    invite()
    for password in ("", "None", "four random words do well"):
        assert console.guest().sign_in("demo", password).status_code in (403, 422)


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "127.0.0.1:0"])
def test_it_is_for_this_machine_alone(console: Console, monkeypatch: pytest.MonkeyPatch, listen: str) -> None:
    given = list[Invitation | None]()

    def noted(*arguments: object) -> None:
        given.append(arguments[2])  # type: ignore[arg-type] # it is the invitation
        raise KeyboardInterrupt

    monkeypatch.setattr("ocelog.console.site.site", noted)
    how = serving.plan(console.installation.settings, serving.ServingOptions(listen=listen, insecure=True))
    assert how is not None
    invitation = Invitation(name="demo")
    with (
        pytest.raises(KeyboardInterrupt),
        serving.served(console.installation, how, lambda: 0.0, invitation),
    ):
        pass
    assert given == [invitation if listen.startswith("127.") else None]
