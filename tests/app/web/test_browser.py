"""The pages in headless Chromium: at the width of a phone and of a desk, light and dark, by the keyboard alone.

The pictures are left in ``KG_HOME/pictures``, to be looked at.
"""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from kg.app.api import application
from kg.app.web.script import htmx
from kg.store import GraphStore
from tests.app.web.conftest import QUERIES, pages
from tests.app.web.test_pages import crowd

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FOUND = next((path for name in BROWSERS if (path := shutil.which(name))), None)

if FOUND is None:
    pytest.skip(f"none of {', '.join(BROWSERS)} is on the path (`make browser`)", allow_module_level=True)
sync_api = pytest.importorskip("playwright.sync_api")

WIDTHS = {"phone": 390, "desk": 1280}
PATHS = {
    "home": "/",
    "search": "/search?q=guitar",
    "shelf": "/search?category=Accessories",
    "product": "/product?sku=S1",
    "user": "/user?user=ben",
    "why": "/why?user=ben&sku=S1",
    "ask": "/ask?question=does+it+fit",
    "trends": "/trends?category=Instruments&days=2",
    "problem": "/product?sku=nothing",
}


@pytest.fixture
def address(shop: GraphStore) -> Iterator[str]:
    """The pages, with htmx, at a free port of this machine."""
    app = application(shop, QUERIES, face=pages(shop, script=htmx()))
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join(20)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as driver:
        # Root, as whom continuous integration runs, has no sandbox.
        found = driver.chromium.launch(executable_path=FOUND, args=["--no-sandbox"])
        yield found
        found.close()


CONTRAST = """() => {
  const lightness = c => {
    const [r, g, b] = c.match(/[\\d.]+/g).slice(0, 3).map(v => v / 255)
      .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = e => {
    for (; e; e = e.parentElement) {
      const c = getComputedStyle(e).backgroundColor;
      if (c.startsWith('rgb(')) return c;
    }
    return 'rgb(255, 255, 255)';
  };
  const poor = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const node = walk.currentNode, e = node.parentElement;
    if (!node.data.trim() || e.closest('svg, .hidden, .skip, option, script, title')) continue;
    const [a, b] = [lightness(getComputedStyle(e).color), lightness(ground(e))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) poor.push(node.data.trim() + ' ' + ratio.toFixed(2));
  }
  return poor;
}"""
"""Texts with less contrast than WCAG 2.2 asks for, each with its ratio."""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_every_page_fits_and_can_be_read(address: str, browser: Any, home: Path, width: str, scheme: str) -> None:
    """Nothing is wider than the screen, nothing is too pale, nothing breaks the page's own policy."""
    pictures = home / "pictures"
    context = browser.new_context(viewport={"width": WIDTHS[width], "height": 800}, color_scheme=scheme)
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    grounds = set()
    for name, path in PATHS.items():
        page.goto(address + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= WIDTHS[width], name
        assert page.evaluate(CONTRAST) == [], name
        assert page.evaluate("typeof htmx") == "object"
        grounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        page.screenshot(path=pictures / f"{name}-{width}-{scheme}.png", full_page=True)
    assert grounds == {"rgb(250, 249, 246)" if scheme == "light" else "rgb(17, 22, 20)"}
    assert [text for text in said if "404" not in text] == []
    context.close()


CLOSED = """() => {
  const never = [];
  const look = (rules, asked) => {
    for (const rule of rules) {
      const known = asked || (rule instanceof CSSSupportsRule && rule.conditionText.includes('::details-content'));
      if (!known && rule.selectorText === '.filters summary' && rule.style.display === 'none') never.push(rule.cssText);
      if (rule.cssRules) look(rule.cssRules, known);
    }
  };
  for (const sheet of document.styleSheets) look(sheet.cssRules, false);
  return never;
}"""
"""Rules that hide what opens the filters though a browser may not know how to show them opened."""


def test_filters_stand_open_on_a_desk_and_can_be_opened_where_a_browser_cannot_do_that(
    address: str, browser: Any
) -> None:
    """Firefox before 143 and Safari before 18.4 have no ``::details-content``."""
    page = browser.new_page()
    page.goto(f"{address}/search?category=Accessories")
    assert page.get_by_role("radio", name="Birch").is_visible()
    assert not page.get_by_text("Narrow down").is_visible()
    assert page.evaluate(CLOSED) == []
    page.close()


FOCUS = """() => {
  const e = document.activeElement, s = getComputedStyle(e), around = e.closest('.product');
  const outlined = s.outlineStyle !== 'none' || (around && getComputedStyle(around).outlineStyle !== 'none');
  const box = e.getBoundingClientRect();
  return {name: e.textContent.trim() || e.name, outlined: Boolean(outlined), shown: box.bottom > 0 && box.width > 0};
}"""


def test_the_keyboard_alone_leads_from_the_first_page_to_a_product(address: str, browser: Any) -> None:
    page = browser.new_page()
    page.goto(address)

    def tab() -> str:
        page.keyboard.press("Tab")
        focus = page.evaluate(FOCUS)
        assert focus["outlined"], focus
        assert focus["shown"], focus
        return str(focus["name"])

    assert tab() == "Skip to the content"
    page.keyboard.press("Enter")
    assert tab() == "q"
    page.keyboard.type("strap")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search?q=strap")
    for _ in range(40):
        if tab() == "Birch leather guitar strap":
            break
    page.keyboard.press("Enter")
    page.wait_for_url("**/product?sku=S1")
    # And through the whole product page, the drawing's links among them, without getting caught.
    names = [tab()]
    while names[-1] != "Ask" and len(names) < 60:
        names.append(tab())
    assert any("Birch" in name and "brand" in name for name in names)
    assert names[-1] == "Ask"
    page.close()


def test_what_is_typed_is_searched_for_without_leaving_the_page(address: str, browser: Any) -> None:
    page = browser.new_page()
    page.goto(f"{address}/search?category=Accessories")
    page.evaluate("window.stayed = true")
    page.get_by_label("What are you looking for?").fill("tuner")
    page.get_by_text("1 product.").wait_for()
    assert page.locator("#found h3").all_text_contents() == ["Cobalt clip-on tuner"]
    assert page.evaluate("window.stayed")
    assert "q=tuner" in page.url
    page.get_by_role("radio", name="Birch").check()
    page.get_by_text("Nothing fits").wait_for()
    assert page.evaluate("window.stayed")
    page.close()


def test_the_keyboard_leafs_through_a_search_without_leaving_the_page(
    address: str, browser: Any, shop: GraphStore
) -> None:
    skus = crowd(shop, 30)
    page = browser.new_page()
    page.goto(f"{address}/search?q=plectrum&max_price=2")
    page.evaluate("window.stayed = true")
    page.get_by_role("link", name="Next products").focus()
    page.keyboard.press("Enter")
    page.get_by_text("Products 25 to 30; these are the last.").wait_for()
    assert page.locator("#found h3").all_text_contents() == [f"Plectrum {sku}" for sku in skus[24:]]
    assert page.evaluate("window.stayed")
    assert "page=2" in page.url
    assert page.get_by_label("Dearest price").input_value() == "2"
    # Where the products begin, there goes the keyboard on.
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == f"Plectrum {skus[24]}"
    assert page.evaluate("document.querySelector('#count').getBoundingClientRect().top >= 0")
    page.get_by_role("link", name="Previous products").click()
    page.get_by_text("Products 1 to 24; there are more.").wait_for()
    # What is typed then begins at the first page again.
    page.get_by_role("link", name="Next products").click()
    page.get_by_text("Products 25 to 30").wait_for()
    page.get_by_label("What are you looking for?").fill(skus[7])
    page.get_by_text("1 product.").wait_for()
    assert page.evaluate("window.stayed")
    assert "page=" not in page.url
    assert page.get_by_label("Shelf").input_value() == ""
    assert page.evaluate("document.activeElement.id") == "q"
    page.go_back()
    page.get_by_text("Products 25 to 30").wait_for()
    page.close()


def test_without_scripts_a_search_has_a_next_page(address: str, browser: Any, shop: GraphStore) -> None:
    skus = crowd(shop, 30)
    context = browser.new_context(java_script_enabled=False, viewport={"width": WIDTHS["phone"], "height": 800})
    page = context.new_page()
    page.goto(f"{address}/search?category=Accessories&brand=cobalt&max_price=2")
    page.get_by_role("link", name="Next products").click()
    page.get_by_text("Products 25 to 30; these are the last.").wait_for()
    assert page.locator("#found h3").all_text_contents() == [f"Plectrum {sku}" for sku in skus[24:]]
    assert page.get_by_text("Products 25 to 30").is_visible()
    page.get_by_role("link", name="Previous products").click()
    page.get_by_text("Products 1 to 24; there are more.").wait_for()
    context.close()


def test_the_heading_follows_what_is_searched_for(address: str, browser: Any) -> None:
    page = browser.new_page()
    page.goto(f"{address}/search?category=Accessories")
    page.evaluate("window.stayed = true")
    page.get_by_label("Shelf").select_option("Instruments")
    page.get_by_text("2 products.").wait_for()
    assert page.get_by_role("heading", level=1).all_text_contents() == ["Instruments"]
    assert page.title() == "Instruments · shopgraph"
    assert page.get_by_label("Shelf").input_value() == "Instruments"
    page.get_by_label("What are you looking for?").fill("dreadnought")
    page.get_by_text("1 product.").wait_for()
    assert page.get_by_role("heading", level=1).all_text_contents() == ["Search"]
    assert page.evaluate("window.stayed")
    page.close()


def test_what_goes_wrong_meanwhile_is_told(address: str, browser: Any) -> None:
    """Products of the search before would be taken for those of this one."""
    page = browser.new_page()
    page.goto(f"{address}/search?q=strap")
    page.evaluate("window.stayed = true")
    page.get_by_label("What are you looking for?").fill("everything")
    page.get_by_role("alert").get_by_text("took longer than").wait_for()
    assert page.evaluate("window.stayed")
    assert page.locator("#found").count() == 0
    assert (page.locator("main").count(), page.locator("h1").all_text_contents()) == (1, ["That did not work"])
    # And on from there.
    page.get_by_label("What are you looking for?").fill("tuner")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="Cobalt clip-on tuner").wait_for()
    page.close()


def test_a_reason_opens_beside_its_product(address: str, browser: Any) -> None:
    page = browser.new_page()
    page.goto(f"{address}/user?user=ben")
    page.evaluate("window.stayed = true")
    page.get_by_role("link", name="Why? Birch leather guitar strap").click()
    page.get_by_text("Because you bought Ashdown S-200 electric guitar: Birch leather").first.wait_for()
    # A second one beside it: each element keeps a name of its own.
    page.get_by_role("link", name="Why? Birch dreadnought").click()
    page.locator("#why-2 li").first.wait_for()
    ids = page.eval_on_selector_all("[id]", "found => found.map(e => e.id)")
    assert len(ids) == len(set(ids))
    assert page.evaluate("window.stayed")
    # The page is still that of all of them.
    assert (page.title(), page.url) == ("For ben · shopgraph", f"{address}/user?user=ben")
    page.close()


def test_without_scripts_every_form_works(address: str, browser: Any) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address)
    page.get_by_label("What are you looking for?").fill("strap")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="Birch leather guitar strap").click()
    page.get_by_label("Question").fill("Does it fit?")
    page.get_by_role("button", name="Ask").click()
    page.get_by_role("heading", name="Yes").wait_for()  # fails if it never comes
    page.goto(f"{address}/user")
    page.get_by_label("Customer", exact=True).fill("ben")
    page.get_by_role("button", name="Recommend").click()
    page.get_by_role("link", name="Why? Birch leather guitar strap").click()
    page.get_by_role("heading", name="Paths through the graph").wait_for()
    context.close()
