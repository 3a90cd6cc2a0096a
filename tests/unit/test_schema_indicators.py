"""What a text is evidence of."""

from typing import Any

import pytest

from ocelog.schema.indicators import cut_url, evidence


def found(indicator: str, text: str) -> list[tuple[str, str]]:
    return [(column.removeprefix("p_any_"), value) for column, value in evidence(indicator, text)]


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


def test_an_arn_is_evidence_of_its_account_and_instance_too() -> None:
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
def test_a_url_is_evidence_of_its_host(url: str, values: Any) -> None:
    assert found("url", cut_url(url)) == values


def test_a_huge_text_is_evidence_of_nothing() -> None:
    assert found("username", "x" * 3_000) == []
