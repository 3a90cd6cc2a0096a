"""Which addresses may be connected to for somebody who must not reach what only this machine can."""

import pytest

from ocelog.network import is_allowed


@pytest.mark.parametrize("allow_private", [False, True])
@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "169.254.170.2",
        "169.254.170.23",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",
        "fe80::a9fe:a9fe",
        "100.100.100.200",
        "192.0.0.192",
        "168.63.129.16",
        "::ffff:169.254.169.254",
        "::ffff:0:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::a9fe:a9fe",
        "::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "fe80::a9fe:a9fe%1",
        "nonsense",
    ],
)
def test_no_cloud_gives_credentials_to_whoever_asks_through_us(address: str, allow_private: bool) -> None:
    assert not is_allowed(address, allow_private=allow_private)


@pytest.mark.parametrize("address", ["10.0.0.8", "127.0.0.1", "::1", "fd12::1", "fe80::1", "64:ff9b:1::a00:8"])
def test_private_networks_are_reached_if_that_is_wanted(address: str) -> None:
    assert is_allowed(address, allow_private=True)
    assert not is_allowed(address, allow_private=False)


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700::1111", "64:ff9b::101:101"])
def test_the_internet_is_reached(address: str) -> None:
    assert is_allowed(address, allow_private=False)
