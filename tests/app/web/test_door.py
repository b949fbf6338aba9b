"""Who is let in, and where a link may lead."""

from __future__ import annotations

import pytest

from kg.app.web.door import COOKIE, Door, digest, within

KEY = "0123456789abcdef-one"
OTHER = "0123456789abcdef-two"


def test_a_cookie_opens_while_its_key_is_one_of_the_keys() -> None:
    header = f"a=b; {COOKIE}={digest(KEY)}"
    assert Door([OTHER, KEY]).admits(header)
    assert not Door([OTHER]).admits(header)
    assert not Door([]).admits(header)


@pytest.mark.parametrize(
    "other", ['prefs={"a": 1}', "theme=dark mode", "a[b]=1", "flag", "path=/", "名=1", f"{COOKIE}=old"]
)
def test_whatever_others_set_beside_it_is_no_hindrance(other: str) -> None:
    for header in (f"{other}; {COOKIE}={digest(KEY)}", f"{COOKIE}={digest(KEY)}; {other}"):
        assert Door([KEY]).admits(header)


@pytest.mark.parametrize("value", ["", KEY, digest(KEY)[:-1], digest(KEY).upper(), digest(OTHER)])
def test_nothing_else_opens(value: str) -> None:
    assert not Door([KEY]).admits(f"{COOKIE}={value}")


def test_a_broken_cookie_opens_nothing() -> None:
    assert not Door([KEY]).admits("; = ;\x00 kg_pages")


def test_the_cookie_does_not_hold_the_key() -> None:
    assert KEY not in digest(KEY)
    assert Door([KEY]).knows(KEY)
    assert not Door([KEY]).knows(digest(KEY))
    assert not Door([KEY]).knows("")


@pytest.mark.parametrize("target", ["/", "/product?sku=S1", "/search?q=a%2Fb"])
def test_a_path_of_this_server_is_a_place_to_go_on(target: str) -> None:
    assert within(target) == target


@pytest.mark.parametrize(
    "target", ["", "//evil.example", "/\\evil.example", "https://evil.example", "product", "/a\nb", "/a\\b"]
)
def test_no_link_leads_to_another_site(target: str) -> None:
    assert within(target) == "/"
