"""Which addresses are asked: public https ones, and what the operator lists."""

import pytest

from app.base.config import Settings
from app.base.errors import AddressRefused, OutsideFailed
from app.base.outbound import check_url, fetch_url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "lms.example.org/pages",
        "ftp://lms.example.org/",
        "file:///etc/passwd",
        "http://lms.example.org/pages",
        "https://user:secret@lms.example.org/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[2002:7f00:1::]/",
        "https://[fe80::1]/",
        "https://127.0.0.1/",
        "https://10.0.0.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://0.0.0.0/",
        "https://224.0.0.1/",
        "https://[64:ff9b::7f00:1]/",
        "https://a b/",
        "https://" + "a" * 300 + ".\u00ad/",
        "https://lms.example.org:99999/",
        "https://lms.example.org/\n",
    ],
)
def test_an_address_that_is_not_public_https_is_refused(settings: Settings, url: str) -> None:
    with pytest.raises(AddressRefused):
        check_url(url, settings)


def test_a_name_is_refused_for_the_address_behind_it(settings: Settings) -> None:
    with pytest.raises(AddressRefused, match="not a public address"):
        fetch_url("https://localhost/pages", settings)
    with pytest.raises(OutsideFailed, match="cannot be resolved"):
        fetch_url("https://nowhere.invalid/pages", settings)


@pytest.mark.parametrize(
    ("allowed", "url"),
    [
        ("lms.internal", "http://lms.internal/pages"),
        ("other, LMS.internal:8080", "http://lms.internal:8080/"),
        ("10.0.0.0/8", "http://10.1.2.3/"),
        ("::1", "https://[::1]/"),
        ("[::1]:8443", "https://[::1]:8443/"),
    ],
)
def test_what_the_operator_lists_is_asked(settings: Settings, allowed: str, url: str) -> None:
    check_url(url, settings.model_copy(update={"outbound_allow": allowed}))


def test_a_listed_port_allows_no_other(settings: Settings) -> None:
    with pytest.raises(AddressRefused):
        check_url("http://a:81/", settings.model_copy(update={"outbound_allow": "a:80"}))


def test_public_https_needs_no_list(settings: Settings) -> None:
    check_url("https://lms.example.org/pages?kind=all", settings)
    check_url("https://93.184.215.14/pages", settings)
