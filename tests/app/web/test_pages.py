"""Every page on the named shop: what it shows, what it says of what it does not know, and what it never lets in."""

from __future__ import annotations

import asyncio
import html
import itertools
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from extraction.questions import Asks
from kg.app.answers import Answer
from kg.app.api import Limits, application
from kg.app.session import pseudonym_of
from kg.app.typed import Once
from kg.app.web.door import COOKIE
from kg.app.web.pages import HEADERS, Kept
from kg.catalogue import Rows, run
from kg.privacy import pseudonymiser
from kg.settings import Settings
from kg.store import GraphStore
from tests.app.web.conftest import QUERIES, pages
from tests.kg.whole_graph import whole_graph

KEY = "0123456789abcdef-one"


def client(store: GraphStore, *, keys: tuple[str, ...] = (), script: bytes | None = None, **options: Any) -> TestClient:
    face = pages(store, keys=keys, script=script)
    app = application(store, QUERIES, face=face, keys=keys, **options)
    return TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False, follow_redirects=False)


@pytest.fixture
def web(shop: GraphStore) -> Iterator[TestClient]:
    """The pages over the shop, which must be the same afterwards."""
    before = whole_graph(shop)
    with client(shop) as client_:
        yield client_
    assert whole_graph(shop) == before


class _Text(HTMLParser):
    """The text of a page as it is read, links beside it, and whether every element is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.links: list[str] = []
        self.open: list[str] = []
        self.ids: list[str] = []
        self.labels: set[str] = set()
        self.fields: list[dict[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag not in ("meta", "link", "input", "img", "br"):
            self.open.append(tag)
        if given.get("id"):
            self.ids.append(str(given["id"]))
        if tag == "a":
            self.links.append(str(given["href"]))
        if tag == "label" and "for" in given:
            self.labels.add(str(given["for"]))
        if tag in ("input", "select") and given.get("type") != "hidden":
            self.fields.append({**given, "in": "label" if "label" in self.open else None})

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in ("meta", "link", "input", "img", "br"):
            self.open.pop()

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def read(answer: httpx.Response) -> _Text:
    parser = _Text()
    parser.feed(answer.text)
    parser.close()
    assert parser.open == []
    return parser


def text(answer: httpx.Response) -> str:
    words = " ".join(read(answer).words).replace("\N{NO-BREAK SPACE}", " ")
    return re.sub(r"\s+", " ", words)


PAGES = [
    "/",
    "/search",
    "/search?q=strap",
    "/search?category=Accessories",
    "/product?sku=S1",
    "/product?sku=X1",
    "/user",
    "/user?user=ben",
    "/user?user=cleo&max_price=20",
    "/why?user=ben&sku=S1",
    "/ask",
    "/ask?question=does+it+fit",
    "/trends?category=Instruments&days=2",
    "/product?sku=nothing",
]


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_whole_and_can_be_used_by_everybody(web: TestClient, path: str) -> None:
    """Elements closed, ids once, every field named, one heading of the first order, and nothing of other sites."""
    answer = web.get(path)
    assert answer.status_code == (404 if "nothing" in path else 200)
    assert (
        dict(HEADERS).items()
        <= {
            k.title() if k != "content-security-policy" else "Content-Security-Policy": v
            for k, v in answer.headers.items()
        }.items()
    )
    page = read(answer)
    assert len(page.ids) == len(set(page.ids))
    unnamed = [f for f in page.fields if not (f["in"] or f.get("aria-label") or f.get("id") in page.labels)]
    assert unnamed == []
    assert answer.text.count("<h1") == 1
    assert 'href="#main"' in answer.text
    assert [link for link in page.links if not link.startswith(("/", "#"))] == []
    assert not re.search(r"https?://|style=|<style|onclick|javascript:", answer.text)


def test_no_page_shows_an_error_that_a_bug_made(web: TestClient) -> None:
    """StrictUndefined makes a misspelt name a 500; all links of all pages of the shop are followed."""
    seen: set[str] = set()
    waiting = ["/"]
    while waiting:
        path = waiting.pop()
        if path in seen or path.startswith("#"):
            continue
        seen.add(path)
        answer = web.get(path)
        assert answer.status_code == 200, path
        waiting += read(answer).links
    assert {"/user", "/trends", "/product?sku=S1", "/product?sku=G1"} <= seen


# --- what they show -------------------------------------------------------------------------------------------


def test_a_product_shows_each_fact_with_the_sentence_that_says_so(web: TestClient) -> None:
    shown = text(web.get("/product?sku=S1"))
    assert "Birch leather guitar strap 24.50 USD" in shown
    assert "has material = leather sure to 90 % Brown leather . product:S1" in shown
    assert "made for Ashdown S-200 electric guitar sure to 80 % Fits the Ashdown S-200 . product:S1" in shown
    assert "comfort 1 for · 0 against Very comfortable , even for hours. review:r1" in shown
    assert "<mark>Very comfortable</mark>" in web.get("/product?sku=S1").text
    # Opinions are no second time among the facts.
    assert "praised for" not in shown
    # Its neighbourhood, as text and links.
    assert "reviewers on comfort" in shown
    assert "brand Birch" in shown


def test_a_product_says_how_many_customers_bought_it(shop: GraphStore) -> None:
    """Customers, and not purchases: anna bought it three times, ben once."""
    shop.write("MATCH (:User {id: 'anna'})-[r:BOUGHT]->(:Product {sku: 'G1'}) SET r.count = 3")
    with client(shop) as web:
        assert "bought by 2, looked at by 0 · no. G1" in text(web.get("/product?sku=G1"))


def test_a_product_without_reviews_says_so(web: TestClient) -> None:
    shown = text(web.get("/product?sku=X1"))
    assert "no longer sold" in shown
    assert "No review judges anything of it yet." in shown


def test_a_product_shows_beside_what_texts_put_it(shop: GraphStore) -> None:
    shop.write(
        "MATCH (g2:Product {sku: 'G2'}), (g1:Product {sku: 'G1'}), (b:Brand {key: 'cobalt'}) "
        "CREATE (d:Document {id: 'review:r7', kind: 'review', sku: 'G2', title_end: 0, sha256: 'c', "
        "text: 'It is warmer than my S-200.'}), "
        "(g2)-[:BETTER_THAN {source: 'extraction', fact: 'b1', confidence: 0.7, count: 2}]->(g1), "
        "(g2)-[:COMPARED_WITH {source: 'extraction', fact: 'b2', confidence: 0.7, count: 1}]->(b), "
        "(:Evidence {id: 'e7', fact: 'b1', start: 21, end: 26, quote: 'S-200', confidence: 0.7})-[:FROM]->(d)"
    )
    with client(shop) as web:
        page = web.get("/product?sku=G2")
    shown = text(page)
    assert "Beside others Ashdown S-200 electric guitar 2 prefer this · 0 the other It is warmer than my S-200" in shown
    assert "Cobalt 0 prefer this · 0 the other · 1 neither" in shown
    assert {"/product?sku=G1", "/search?brand=cobalt"} <= set(read(page).links)


def test_a_search_shows_the_rows_of_the_query_and_what_was_meant(web: TestClient) -> None:
    found = web.get("/search", params={"q": "guitr strap"})
    titles = re.findall(r"<h3><a href=\"/product\?sku=(\w+)\"", found.text)
    assert titles == ["S1", "G1", "G2"]
    assert "3 products, searched for guitar strap ." in text(found)
    dear = web.get("/search", params={"q": "guitar", "min_price": "300"})
    assert re.findall(r"<h3><a href=\"/product\?sku=(\w+)\"", dear.text) == ["G1"]
    brand = web.get("/search", params={"category": "Accessories", "brand": "cobalt"})
    assert re.findall(r"<h3><a href=\"/product\?sku=(\w+)\"", brand.text) == ["S2", "T1"]
    assert 'name="brand" value="cobalt" checked' in brand.text
    # One brand at a time can be chosen, and none again.
    fields = [(f["type"], f["value"], "checked" in f) for f in read(brand).fields if f.get("name") == "brand"]
    assert fields == [("radio", "", False), ("radio", "cobalt", True), ("radio", "birch", False)]
    cheap = web.get("/search", params={"q": "", "max_price": "15"})
    assert re.findall(r"<h3><a href=\"/product\?sku=(\w+)\"", cheap.text) == ["S2", "T1"]
    assert "Nothing fits" in text(web.get("/search", params={"q": "zeppelin"}))


def crowd(shop: GraphStore, count: int) -> list[str]:
    """So many picks of Cobalt's, of two materials, among the accessories: their skus, the most popular first."""
    skus = [f"P{n:03}" for n in range(count)]
    shop.write(
        "MERGE (celluloid:AttributeValue {key: 'material=celluloid'}) "
        "SET celluloid.attribute = 'material', celluloid.value = 'celluloid' "
        "MERGE (thick:AttributeValue {key: 'width=thick'}) SET thick.attribute = 'width', thick.value = 'thick' "
        "WITH celluloid, thick "
        "MATCH (accessories:Category {path: 'Accessories'}), (cobalt:Brand {key: 'cobalt'}) "
        "UNWIND range(0, size($skus) - 1) AS n "
        "CREATE (p:Product {sku: $skus[n], title: 'Plectrum ' + $skus[n], price: 1.5, currency: 'USD', active: true, "
        "popularity: 0.2 - n / 10000.0}) "
        "CREATE (p)-[:IN_CATEGORY {source: 'catalogue'}]->(accessories), (p)-[:MADE_BY {source: 'catalogue'}]->(cobalt)"
        ", (p)-[:HAS_ATTRIBUTE]->(celluloid), (p)-[:HAS_ATTRIBUTE]->(thick)",
        skus=skus,
    )
    return skus


def leaf_through(web: TestClient, path: str) -> tuple[list[list[str]], list[str]]:
    """The skus of every page of a search, one after the other by its link, and what each says of how many there are."""
    shown, said = [], []
    while path:
        page = web.get(path)
        assert page.status_code == 200
        shown.append(re.findall(r"<h3><a href=\"/product\?sku=(\w+)\"", page.text))
        said.append(re.sub(r"\s+", " ", re.findall(r'role="status"[^>]*>(.*?)</p>', page.text, re.DOTALL)[0]))
        path = html.unescape(next(iter(re.findall(r'rel="next" href="([^"]*)"', page.text)), ""))
        assert path == "" or path.endswith("#count")
    return shown, said


@pytest.mark.parametrize(
    "narrowed",
    [
        "q=plectrum&category=Accessories&brand=cobalt&max_price=2",
        "q=plectrum&attribute=material%3Dcelluloid&attribute=width%3Dthick",
        "category=Accessories&brand=cobalt&max_price=2",
        "attribute=material%3Dcelluloid&attribute=width%3Dthick&min_price=1",
    ],
)
def test_a_search_goes_on_where_its_page_ends_and_keeps_its_filters(shop: GraphStore, narrowed: str) -> None:
    skus = crowd(shop, 55)
    # What the filters must keep out.
    shop.write("MATCH (p:Product {sku: 'S2'}) SET p.title = 'Plectrum case', p.popularity = 1.0")
    with client(shop) as web:
        shown, said = leaf_through(web, f"/search?{narrowed}")
        assert shown == [skus[:24], skus[24:48], skus[48:]]
        assert said == [
            "Products 1 to 24; there are more.",
            "Products 25 to 48; there are more.",
            "Products 49 to 55; these are the last.",
        ]
        last = web.get(f"/search?{narrowed}&page=3")
        (back,) = re.findall(r'rel="prev" href="([^"]*)"', last.text)
        assert re.findall(r"sku=(P\w+)\"", web.get(html.unescape(back)).text) == skus[24:48]


@pytest.mark.parametrize("narrowed", ["q=plectrum", "brand=cobalt&category=Accessories&max_price=2"])
def test_a_search_that_fills_its_page_has_no_other(shop: GraphStore, narrowed: str) -> None:
    crowd(shop, 24)
    with client(shop) as web:
        shown, said = leaf_through(web, f"/search?{narrowed}")
        assert ([len(page) for page in shown], said) == ([24], ["24 products."])
        behind = web.get(f"/search?{narrowed}&page=2")
        assert "This page is behind the last product." in text(behind)
        assert 'rel="prev"' in behind.text


def test_what_was_typed_is_followed_for_eight_pages_and_a_shelf_to_its_end(shop: GraphStore) -> None:
    crowd(shop, 200)
    with client(shop) as web:
        shown, said = leaf_through(web, "/search?q=plectrum")
        assert [len(page) for page in shown] == [24] * 8
        assert said[-1] == "Products 169 to 192; add a filter to see what else there is."
        assert len({sku for page in shown for sku in page}) == 192
        further = web.get("/search?q=plectrum&page=9")
        assert (further.status_code, "no further than its page 8" in text(further)) == (404, True)
        shown, said = leaf_through(web, "/search?brand=cobalt&max_price=2")
        assert ([len(page) for page in shown], said[-1]) == ([24] * 8 + [8], "Products 193 to 200; these are the last.")


def test_a_first_page_asks_for_no_more_than_it_shows_and_one(shop: GraphStore, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(
        "tests.app.web.conftest.run",
        lambda store, query, given: asked.append(given["limit"]) or run(store, query, given),
    )
    with client(shop) as web:
        web.get("/search?q=strap")
    assert asked == [25]


@pytest.mark.parametrize("page", ["0", "-1", "two", "1.5", "9" * 5000])
def test_a_page_is_a_number_from_one(web: TestClient, page: str) -> None:
    answer = web.get("/search", params={"q": "strap", "page": page})
    assert (answer.status_code, "expected as a number from 1" in text(answer)) == (422, True)


def test_a_guitar_is_not_called_made_for_its_strap(web: TestClient) -> None:
    """The strap is made for it; ``recommend/similar_products`` does not say which way that leads."""
    strap, guitar = text(web.get("/product?sku=S1")), text(web.get("/product?sku=G1"))
    assert "Like it Ashdown S-200 electric guitar one is made for the other" in strap
    assert "Goes with it Birch leather guitar strap made for it" in guitar


def test_a_shelf_is_the_title_of_its_page(web: TestClient) -> None:
    for path, title in (("category=Instruments+%3E+Guitars", "Guitars"), ("q=strap&category=Accessories", "strap")):
        assert f"<title>{title} · shopgraph</title>" in web.get(f"/search?{path}").text


def test_half_a_star_is_shown(shop: GraphStore) -> None:
    """A review says that the strap is made for the guitar, and its author gave four and a half."""
    shop.write(
        "MATCH (e:Evidence {id: 'e2'})-[r:FROM]->(), (d:Document {id: 'review:r1'}), (w:Review {id: 'r1'}) "
        "SET e.start = 8, e.end = 24, w.rating = 4.5 "
        "DELETE r CREATE (e)-[:FROM]->(d)"
    )
    with client(shop) as web:
        assert "review:r1, 4.5 stars" in text(web.get("/why?user=ben&sku=S1"))


def test_recommendations_have_shares_and_reasons(web: TestClient) -> None:
    shown = text(web.get("/user?user=ben"))
    assert "Birch leather guitar strap" in shown
    assert "popular 100 %" in shown
    assert "Because of Ashdown S-200 electric guitar bought" in shown
    within = web.get("/user", params={"user": "anna", "category": "Accessories", "max_price": "20"})
    assert re.findall(r"<h3><a href=\"/product\?sku=(\w+)\"", within.text) == ["S2", "T1"]
    assert "Found by: exact subset." in text(within)


def test_an_explanation_goes_down_to_the_sentence_of_a_text(web: TestClient) -> None:
    shown = text(web.get("/why?user=ben&sku=S1"))
    assert "Because you bought Ashdown S-200 electric guitar: Birch leather guitar strap is made for it." in shown
    assert "Fits the Ashdown S-200 . product:S1" in shown
    assert "ben BOUGHT Ashdown S-200 electric guitar → Birch leather guitar strap ACCESSORY_OF" in shown


def test_trends_show_what_rises_beside_what_was_expected(web: TestClient) -> None:
    shown = text(web.get("/trends?category=Instruments&days=2"))
    assert "Nothing rose here in these days beyond what chance brings about" in shown


def test_a_trend_stands_beside_what_was_expected_and_what_chance_brings_about_does_not(shop: GraphStore) -> None:
    day, first = 86_400, 1_772_323_200  # midnight of 1 March 2026
    shop.write("MATCH (:User)-[r:BOUGHT|VIEWED]->() DELETE r")
    for sku, days in (("G1", [*range(10, 76), *range(80, 100)]), ("G2", [*range(10, 74, 4), *[90] * 30])):
        shop.write(
            "MATCH (u:User {id: 'cleo'}), (p:Product {sku: $sku}) CREATE (u)-[:VIEWED {count: 1, strength: 0.2, "
            "at: datetime({epochSeconds: $times[-1]}), times: $times}]->(p)",
            sku=sku,
            times=[first + at * day for at in days],
        )
    # A third that is seen a little more than it was: that may be chance.
    shop.write(
        "MATCH (u:User {id: 'cleo'}), (p:Product {sku: 'X1'}), (c:Category {path: 'Instruments > Guitars'}) "
        "CREATE (p)-[:IN_CATEGORY {source: 'catalogue'}]->(c), (u)-[:VIEWED {count: 1, strength: 0.2, "
        "at: datetime({epochSeconds: $times[-1]}), times: $times}]->(p)",
        times=[first + at * day for at in [*range(2, 72, 3), *range(80, 98)]],
    )
    found = {r["key"]: r for r in run(shop, QUERIES["insight/trends"], {"category": "Instruments", "days": 28})}
    assert found["X1"]["events"] > found["X1"]["expected"]
    assert found["X1"]["p"] > 0.05
    with client(shop) as web:
        page = web.get("/trends?category=Instruments&days=28")
    shown = text(page)
    assert "What is rising on Instruments product Product Events Expected By chance Birch dreadnought" in shown
    assert {"/product?sku=G1", "/product?sku=X1"} & set(read(page).links) == set()
    assert page.text.count('<svg class="bar both"') == 1
    expected = found["G2"]["expected"]
    assert f"acoustic guitar 30 {expected:.1f} <1 %" in shown
    # Both bars on one scale, of which the longest is 100.
    assert '<rect width="100.0" height="5"/>' in page.text
    assert f'<rect class="expected" y="5" width="{round(100 * expected / 30, 2)}" height="3"/>' in page.text


def test_what_an_attacker_writes_is_text(web: TestClient, shop: GraphStore) -> None:
    answer = web.get("/ask", params={"question": "<img src=x onerror=alert(1)>"})
    assert "<img src=x" not in answer.text
    assert "<script>" not in answer.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in answer.text
    assert "<mark>Ashdown S-200</mark> &amp; &#34;all&#34; of them." in answer.text
    for path in ("/search?q=%22%3E%3Cscript%3E", "/user?user=%3Cscript%3E", "/search?category=%3Cscript%3E"):
        assert "<script>" not in web.get(path).text


# --- what they do not know ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/product?sku=nothing", "no product with that number"),
        ("/product", "no product with that number"),
        ("/user?user=nobody", "knows no customer of that name"),
        ("/why?user=nobody&sku=S1", "knows no customer of that name"),
        ("/why?user=ben&sku=nothing", "a customer and a product of this shop must be named"),
        ("/trends?category=Nowhere", "no shelf of that name"),
        ("/nothing", "nothing at this path"),
        ("/static/nothing.js", "no such file"),
    ],
)
def test_what_is_not_known_is_a_page_that_says_what_to_do(web: TestClient, path: str, says: str) -> None:
    answer = web.get(path, headers={"Accept": "text/html,*/*"})
    assert answer.status_code == 404
    assert says in text(answer)
    assert 'action="/search"' in answer.text


def test_a_program_is_still_answered_in_json(web: TestClient) -> None:
    assert "error" in web.get("/nothing").json()


@pytest.mark.parametrize("path", ["/search?q=a&min_price=cheap", "/trends?category=Instruments&days=-1"])
def test_a_wrong_parameter_is_one_sentence(web: TestClient, path: str) -> None:
    answer = web.get(path)
    assert answer.status_code == 422
    assert "expected" in text(answer)


def test_an_empty_graph_has_pages_too(store: GraphStore) -> None:
    with client(store) as web:
        for path in ("/", "/search", "/user", "/ask", "/trends", "/search?q=strap"):
            assert web.get(path).status_code == 200, path


def test_with_pseudonyms_nobody_is_linked_who_could_not_be_asked_for(shop: GraphStore) -> None:
    pseudonym = pseudonymiser("a secret of the shop")
    shop.write("MATCH (u:User {id: 'ben'}) SET u.id = $id", id=pseudonym("ben"))
    with client(shop, pseudonym=pseudonym) as web:
        assert web.get("/user?user=ben").status_code == 200
        assert "Who would want it" not in text(web.get("/product?sku=S1"))


def test_without_a_key_for_pseudonyms_customers_are_named(shop: GraphStore) -> None:
    shop.write(
        "MATCH (c:User {id: 'cleo'}) "
        "CREATE (c)-[:IN_SEGMENT {strength: 0.7}]->(:Segment {id: 's1', name: 'Strummers', users: 1, "
        "at: datetime('2026-03-01'), traits: ['brand:birch'], inside: [1.0], outside: [0.0], z: [2.0]})"
    )
    with client(shop, pseudonym=pseudonym_of(Settings(pseudonym_key=None))) as web:  # as kg serve makes it
        assert "Who would want it ben" in text(web.get("/product?sku=S1"))
        assert "Strummers" in text(web.get("/user"))


@pytest.mark.parametrize("path", PAGES)
def test_a_page_shows_what_a_server_gives_that_gives_little(shop: GraphStore, path: str) -> None:
    with client(shop, limits=Limits(max_rows=2)) as web:
        assert web.get(path).status_code == (404 if "nothing" in path else 200), text(web.get(path))


def test_what_has_a_long_name_has_a_page(shop: GraphStore) -> None:
    """A thousand letters are taken for a sku, a user and a shelf."""
    sku, user, shelf = "s" * 1000, "u" * 1000, " > ".join(["k" * 498, "吉" * 499])
    shop.write(
        "MATCH (p:Product {sku: 'S1'})-[:IN_CATEGORY]->(c), (u:User {id: 'ben'}) "
        "SET p.sku = $sku, c.path = $shelf, u.id = $user",
        sku=sku,
        shelf=shelf,
        user=user,
    )
    with client(shop) as web:
        found = web.get("/search", params={"q": "leather strap"})
        (product,) = {link for link in read(found).links if "ssss" in link}
        assert web.get(product).status_code == 200
        on_shelf = web.get("/search", params={"category": shelf})
        assert "Birch leather guitar strap" in text(on_shelf)
        assert web.get("/trends", params={"category": shelf}).status_code == 200
        assert web.get("/user", params={"user": user}).status_code == 200
        assert web.get("/why", params={"user": user, "sku": sku}).status_code == 200


def test_an_answer_keeps_the_letters_of_units_and_names(shop: GraphStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for verdict, shown in (
        ("15.0 USD", "15.0 USD"),
        ("Ashdown S-200 electric guitar", "Ashdown S-200 electric guitar"),
        ("iPhone case", "iPhone case"),
        ("not known", "Not known"),
        ("leather", "Leather"),
    ):
        answer = Answer("?", Asks.VALUE, verdict, "It is so.")
        monkeypatch.setattr("tests.app.web.conftest.Oracle.ask", lambda *_, answer=answer, **__: answer)
        with client(shop) as web:
            assert f'class="verdict">{shown}</h2>' in web.get("/ask?question=how+much").text


# --- what a page costs ----------------------------------------------------------------------------------------


def test_the_time_limit_is_that_of_all_the_queries_of_a_page(shop: GraphStore, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(0, 4)  # each look at it, and so each query, takes four seconds
    monkeypatch.setattr("kg.app.api.monotonic", lambda: float(next(clock)))
    allowed: list[float] = []
    monkeypatch.setattr(
        "kg.app.web.pages.catalogue.run",
        lambda *args, timeout_s, **how: allowed.append(timeout_s) or run(*args, timeout_s=timeout_s, **how),
    )
    with client(shop, limits=Limits(timeout_s=10.0)) as web:
        for _ in range(3):  # each page has its own
            answer = web.get("/product?sku=S1")
            assert (answer.status_code, allowed) == (504, [6.0, 2.0])
            assert "longer than 10 seconds" in text(answer)
            allowed.clear()


def test_the_shelves_are_counted_once_a_minute(shop: GraphStore, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("kg.app.web.pages.monotonic", lambda: now)
    counted: list[str] = []
    monkeypatch.setattr(
        "kg.app.web.pages.catalogue.run",
        lambda store, query, *args, **how: counted.append(query.name) or run(store, query, *args, **how),
    )
    with client(shop) as web:
        for _ in range(2):
            for path in ("/", "/search?q=a", "/search?q=ab", "/user?user=ben"):
                assert "Accessories" in web.get(path).text
            assert counted.count("search/shelves") == 1
        # A shelf has its own.
        assert "Guitars" in text(web.get("/search?category=Instruments"))
        assert counted.count("search/shelves") == 2
        shop.write("MATCH (p:Product {sku: 'S1'}) SET p.active = false")
        now = 59.0
        assert "Accessories 3" in text(web.get("/"))
        now = 61.0
        assert "Accessories 2" in text(web.get("/"))


# --- the door -------------------------------------------------------------------------------------------------


def test_without_a_key_every_page_leads_to_the_form_and_back(shop: GraphStore) -> None:
    with client(shop, keys=(KEY,)) as web:
        away = web.get("/product?sku=S1")
        assert (away.status_code, away.headers["location"]) == (303, "/login?next=%2Fproduct%3Fsku%3DS1")
        form = web.get(away.headers["location"])
        assert 'name="next" value="/product?sku=S1"' in form.text
        assert web.get("/static/shop.css").status_code == 200
        wrong = web.post("/login", data={"key": "not a key", "next": "/"})
        assert (wrong.status_code, "set-cookie" in wrong.headers) == (401, False)
        assert "none of the keys" in text(wrong)
        opened = web.post("/login", data={"key": KEY, "next": "/product?sku=S1"})
        assert (opened.status_code, opened.headers["location"]) == (303, "/product?sku=S1")
        cookie = opened.headers["set-cookie"]
        assert cookie.startswith(f"{COOKIE}=")
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert KEY not in cookie
        assert web.get("/product?sku=S1").status_code == 200
        # The cookie opens pages and nothing else.
        assert web.get("/query/product/profile?sku=S1").status_code == 401
        assert web.get("/metrics").status_code == 401
        web.post("/logout")
        assert web.get("/").status_code == 303


def test_a_link_in_chinese_is_followed_after_signing_in(shop: GraphStore) -> None:
    with client(shop, keys=(KEY,)) as web:
        answer = web.post("/login", data={"key": KEY, "next": "/search?q=吉他 背带&brand=a%2Fb"})
        assert answer.status_code == 303
        assert answer.headers["location"] == "/search?q=%E5%90%89%E4%BB%96%20%E8%83%8C%E5%B8%A6&brand=a%2Fb"
        assert web.get(answer.headers["location"]).status_code == 200


def test_the_cookie_is_kept_to_https_where_a_proxy_says_so(shop: GraphStore) -> None:
    with client(shop, keys=(KEY,)) as web:
        answer = web.post("/login", data={"key": KEY}, headers={"X-Forwarded-Proto": "https"})
        assert "Secure" in answer.headers["set-cookie"]


def test_a_form_of_another_site_cannot_lead_away(shop: GraphStore) -> None:
    with client(shop, keys=(KEY,)) as web:
        answer = web.post("/login", data={"key": KEY, "next": "//evil.example/"})
        assert answer.headers["location"] == "/"
        assert web.post("/login", content=b"k" * 5000).status_code == 413


def test_a_login_that_breaks_off_or_does_not_come_is_told_so(shop: GraphStore, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []

    async def broken() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def silent() -> dict[str, Any]:
        await asyncio.sleep(60.0)
        raise AssertionError("waited for ever")

    async def send(message: Any) -> None:
        sent.append(message)

    monkeypatch.setattr("kg.app.given._BODY_S", 0.01)
    app = application(shop, QUERIES, face=pages(shop, keys=(KEY,)), keys=(KEY,))
    scope = {"type": "http", "method": "POST", "path": "/login", "query_string": b"", "scheme": "http"}
    scope |= {"headers": [(b"host", b"127.0.0.1")], "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 1)}
    for receive in (broken, silent):
        asyncio.run(app({**scope, "http_version": "1.1", "root_path": ""}, receive, send))
    assert [message["status"] for message in sent if message["type"] == "http.response.start"] == [400, 408]


def test_a_form_of_another_site_logs_nobody_in_or_out(shop: GraphStore) -> None:
    with client(shop, keys=(KEY,)) as web:
        for path in ("/login", "/logout"):
            answer = web.post(path, data={"key": KEY}, headers={"Sec-Fetch-Site": "cross-site"})
            assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)
        # A link from anywhere leads to the form.
        assert web.get("/login", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200


def test_a_key_in_the_header_opens_pages_too(shop: GraphStore) -> None:
    with client(shop, keys=(KEY,)) as web:
        assert web.get("/", headers={"X-API-Key": KEY}).status_code == 200


def test_without_keys_only_this_machine_is_answered(shop: GraphStore) -> None:
    with client(shop) as web:
        assert web.get("/", headers={"Host": "evil.example"}).status_code == 421
        assert "/login" not in web.get("/").text


# --- pieces ---------------------------------------------------------------------------------------------------


def test_what_takes_long_to_make_is_made_once() -> None:
    made: list[int] = []
    once = Once(lambda: made.append(1) or "it")
    assert (once(), once(), made) == ("it", "it", [1])


def test_what_is_kept_is_bounded_and_an_empty_answer_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kg.app.web.pages.MOST_KEPT", 2)
    made: list[str] = []

    def asked(key: str, *rows: dict[str, str]) -> None:
        kept(key, lambda: made.append(key) or Rows(("name",), rows))

    kept = Kept()
    for _ in range(2):
        asked("nothing")
        asked("a", {"name": "a"})
    assert made == ["nothing", "a", "nothing"]
    for key in ("b", "c", "a"):
        asked(key, {"name": key})
    assert made == ["nothing", "a", "nothing", "b", "c", "a"]


def test_the_script_is_named_only_where_it_is_served(shop: GraphStore) -> None:
    with client(shop, script=b"/* htmx */") as web:
        assert 'src="/static/htmx.js"' in web.get("/").text
        assert web.get("/static/htmx.js").content == b"/* htmx */"
    with client(shop) as web:
        assert "<script" not in web.get("/").text
