"""Which p_any_ columns a text fills, and with what."""

from typing import Any

import pytest

from ocelog.schema.columns.indicators import INDICATOR_READERS, cut_urls
from shaping import AUDIT, FINDINGS, page, rows, shaper_of


def found(indicator: str, text: str) -> list[tuple[str, str]]:
    reader = INDICATOR_READERS[indicator]
    read = reader.read(text.strip()) if text.strip() else ()
    pairs = zip(reader.columns, read, strict=False)
    return [(column.removeprefix("p_any_"), value) for column, value in pairs if value is not None]


@pytest.mark.parametrize(
    ("indicator", "text", "values"),
    [
        ("ip", " 10.0.0.1 ", [("ip_addresses", "10.0.0.1")]),
        ("ip", "2001:db8::1", [("ip_addresses", "2001:db8::1")]),
        ("ip", "10.0.0.256", []),
        ("ip", "010.0.0.1", []),
        ("ip", "", []),
        ("domain", "example.com", [("domain_names", "example.com")]),
        ("hostname", "Web-1", [("domain_names", "web-1")]),
        ("hostname", "10.0.0.1", [("ip_addresses", "10.0.0.1")]),
        ("net_addr", "example.com:443", [("domain_names", "example.com")]),
        ("net_addr", "10.0.0.1:443", [("ip_addresses", "10.0.0.1")]),
        ("net_addr", "[2001:db8::1]:443", [("ip_addresses", "2001:db8::1")]),
        ("net_addr", "2001:db8::1", [("ip_addresses", "2001:db8::1")]),
        ("email", "a.b@example.com", [("emails", "a.b@example.com")]),
        ("email", "a.b", []),
        ("username", " someone ", [("usernames", "someone")]),
        ("actor_id", "x", [("actor_ids", "x")]),
        ("trace_id", "x", [("trace_ids", "x")]),
        ("md5", "D41D8CD98F00B204E9800998ECF8427E", [("md5_hashes", "d41d8cd98f00b204e9800998ecf8427e")]),
        ("md5", "d41d8cd98f00b204e9800998ecf8427", []),
        ("sha1", "z" * 40, []),
        ("sha1", "a" * 40, [("sha1_hashes", "a" * 40)]),
        ("sha256", "A" * 64, [("sha256_hashes", "a" * 64)]),
        ("aws_account_id", "123456789012", [("aws_account_ids", "123456789012")]),
        ("aws_account_id", "c3a1e0de-0000-4000-8000-000000000000", []),
        ("aws_account_id", "\u0661" * 12, []),
        ("aws_instance_id", "i-0123456789abcdef0", [("aws_instance_ids", "i-0123456789abcdef0")]),
        ("aws_instance_id", "web-1", []),
        ("aws_arn", "arn:aws:s3:::bucket", [("aws_arns", "arn:aws:s3:::bucket")]),
        ("aws_arn", "/subscriptions/1/resourceGroups/2", []),
        ("aws_tag", "env:prod", [("aws_tags", "env:prod")]),
        ("mac", "00:1A:2b:3c:4d:5e", [("mac_addresses", "00:1A:2b:3c:4d:5e")]),
        ("mac", "00:1A-2b:3c:4d:5e", []),
    ],
)
def test_a_text_is_read_as_its_indicator_says(indicator: str, text: str, values: Any) -> None:
    assert found(indicator, text) == values


def test_an_arn_gives_its_account_and_instance_too() -> None:
    arn = "arn:aws:ec2:eu-north-1:123456789012:instance/i-0123456789abcdef0"
    assert found("aws_arn", arn) == [
        ("aws_arns", arn),
        ("aws_account_ids", "123456789012"),
        ("aws_instance_ids", "i-0123456789abcdef0"),
    ]


@pytest.mark.parametrize(
    ("url", "values"),
    [
        ("https://App.Wiz.io/x/y?z#w", [("domain_names", "app.wiz.io")]),
        ("https://user:secret@example.com:8443/", [("domain_names", "example.com")]),
        ("https://10.0.0.1/", [("ip_addresses", "10.0.0.1")]),
        ("http://[2001:db8::1]:80/x", [("ip_addresses", "2001:db8::1")]),
        ("https://example.com?x=//evil.example/", [("domain_names", "example.com")]),
        ("https://example.com#/evil.example", [("domain_names", "example.com")]),
        ("https://example.com\\@evil.example/", [("domain_names", "example.com")]),
        ("postgresql://db.example/x", [("domain_names", "db.example")]),
        ("www.example.com/x", [("domain_names", "www.example.com")]),
        ("https:///x", []),
        ("no url at all", []),
        ("/only/a/path", []),
        ("https://example.com.", [("domain_names", "example.com")]),
    ],
)
def test_a_url_gives_its_host(url: str, values: Any) -> None:
    assert found("url", cut_urls([url])[0] or "") == values


def test_columns_gather_what_the_fields_of_a_row_hold_trimmed_without_repeats_and_sorted() -> None:
    audit = shaper_of(AUDIT)
    at = "2026-03-25T05:46:26Z"
    someone = {"id": " b@example.com ", "name": "a@example.com"}
    entry = {"id": "1", "action": "x", "timestamp": at, "user": someone, "performer": {"id": "x" * 3_000, "name": "z"}}
    bare = {"id": "2", "action": "x", "timestamp": at, "user": {"id": " "}, "sourceIP": "nowhere"}
    first, second, third = rows(audit.shape(page([entry, bare, {**entry, "id": "3"}])))
    assert first["p_any_emails"] == third["p_any_emails"] == ["a@example.com", "b@example.com"]
    assert first["p_any_usernames"] == ["a@example.com", "z"]
    assert first["p_any_actor_ids"] == ["b@example.com"]
    assert [second[name] for name in second if name.startswith("p_any_")] == [None] * 4


def test_columns_gather_what_lists_hold() -> None:
    finding = {"id": "1", "updatedAt": "2026-03-25T05:46:26Z", "portalUrl": "https://app.wiz.io/x"}
    addresses = ["10.0.0.2", "10.0.0.1", None, "10.0.0.2", "no"]
    asset = {"ipAddresses": addresses, "cloudProviderURL": "https://10.0.0.3/"}
    (row,) = rows(shaper_of(FINDINGS).shape(page([{**finding, "vulnerableAsset": asset}])))
    assert row["p_any_ip_addresses"] == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
    assert row["p_any_domain_names"] == ["app.wiz.io"]
