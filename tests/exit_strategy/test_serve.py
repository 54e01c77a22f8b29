"""The form in a browser: it saves the file, faults stand at their fields, others stay out."""

from __future__ import annotations

import html
import re
import shutil
import socket
import subprocess
import sys
import time
import tomllib
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from exit_profiles import make_profile_dict

from fastnn.exit_strategy.errors import ExitError
from fastnn.exit_strategy.profile.profile import Profile, read_mapping
from fastnn.exit_strategy.profile.schema import template
from fastnn.exit_strategy.profile.toml_text import profile_toml
from fastnn.exit_strategy.serve.form import cells_of, values_of

pytest.importorskip("fastapi", reason="needs the extra `serve`")
from fastapi.testclient import TestClient

from fastnn.exit_strategy.serve import create_app, serve

HOME = "http://127.0.0.1:8765"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "acme.toml"
    table = {
        "common": 8_000_000, "founders": 5_000_000,
        "classes": [{"name": "A", "shares": 2_000_000, "invested": "8m"}],
        "options": [{"name": 'o "1"', "n": 1000, "strike": 0.5,
                     "vesting": {"start": "2025-01-01", "months": 48}}],
    }  # fmt: skip
    path.write_text(profile_toml(make_profile_dict(cash="60m", cap_table=table)))
    return path


def client(file: Path, **settings: Any) -> TestClient:
    app = create_app(file, port=8765, draws=200, **settings)
    return TestClient(app, base_url=HOME, follow_redirects=False)


def inputs(page: str) -> dict[str, str]:
    """What a browser would post of a page's form."""
    found = dict(re.findall(r'<input type="\w+"[^>]*? name="([^"]+)"[^>]*? value="([^"]*)"', page))
    for name, inside in re.findall(r'<select [^>]*?name="([^"]+)"[^>]*>(.*?)</select>', page):
        found[name] = "".join(re.findall(r"<option selected>([^<]*)<", inside))
    for name, inside in re.findall(
        r'<textarea [^>]*?name="([^"]+)"[^>]*>(.*?)</textarea>', page, re.S
    ):
        found[name] = inside
    return {name: html.unescape(value) for name, value in found.items()}


def same(one: Profile, other: Profile) -> bool:
    names = ("cap_table", "assumptions", "uncertainty", "funding_rounds", "valuation")
    return dict(one.values) == dict(other.values) and all(
        getattr(one, name) == getattr(other, name) for name in names
    )


def test_saving_an_unchanged_form_keeps_the_company(file: Path) -> None:
    before = Profile.from_file(file)
    with client(file) as web:
        answer = web.post("/", data=inputs(web.get("/").text))
    assert answer.status_code == 303
    assert same(Profile.from_file(file), before)
    assert tomllib.loads(file.read_text())["cash"] == "60m"  # as it was written
    assert file.with_name("acme.toml.bak").exists()


def test_a_changed_field_is_saved_and_the_report_shows_it(file: Path) -> None:
    with client(file) as web:
        given = inputs(web.get("/").text) | {"name": "Bär & <Söhne>", "cash": "41 000 000"}
        answer = web.post("/?lang=zh", data={**given, "then": "report"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/report?lang=zh")
        report = web.get("/report?lang=zh").text
    assert Profile.from_file(file).cash == 41e6
    assert "Bär &amp; &lt;Söhne&gt;" in report
    assert "<Söhne>" not in report


def test_faults_stand_at_their_fields_and_nothing_is_saved(file: Path) -> None:
    before = file.read_bytes()
    with client(file) as web:
        given = inputs(web.get("/").text)
        wrong = {"cash": "a lot", "sector": "", "tech.moat": "7",
                 "cap_table": "common = 10\nfounders = 20\n", "uncertainty": "oops"}  # fmt: skip
        answer = web.post("/", data=given | wrong)
        again = inputs(answer.text)
        tables = web.post("/", data=given | {"cap_table": wrong["cap_table"]})
        few = {name: wrong[name] for name in ("cash", "sector", "tech.moat")}
        fields = web.post("/", data=given | few)
    assert answer.status_code == tables.status_code == 422
    assert 'id="f-uncertainty-said"' in answer.text
    assert 'id="f-cap_table-said"' in tables.text
    assert again["cash"] == "a lot"  # what was typed is still there
    assert file.read_bytes() == before
    for name in ("cash", "sector", "tech-moat"):
        assert f'id="f-{name}-said"' in fields.text


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("origin", "http://evil.example"), ("origin", "null"), ("origin", "http://127.0.0.1:9999"),
        ("origin", "https://127.0.0.1:8765"), ("host", "evil.example:8765"),
        ("host", "evil.example"),
        ("host", "127.0.0.1:8765@evil.example"), ("host", "127.0.0.1.evil.example:8765"),
        ("sec-fetch-site", "cross-site"), ("sec-fetch-site", "same-site"),
        ("content-length", "99999999"),
    ],
)  # fmt: skip
def test_pages_of_others_change_and_read_nothing(file: Path, header: str, value: str) -> None:
    before = file.read_bytes()
    with client(file) as web:
        given = inputs(web.get("/").text) | {"name": "Mallory"}
        answer = web.post("/", data=given, headers={header: value})
        assert answer.status_code in (403, 413)
        if header in ("host", "origin"):
            assert web.get("/report", headers={header: value}).status_code == 403
    assert file.read_bytes() == before


def test_a_form_without_its_secret_is_refused(file: Path) -> None:
    before = file.read_bytes()
    with client(file) as web:
        given = inputs(web.get("/").text) | {"name": "Mallory"}
        for token in ("", "x", "é"):
            assert web.post("/", data=given | {"token": token}).status_code == 403
        assert web.post("/", content=b"\xff\xfe").status_code == 400
        page = web.get("/")
    assert file.read_bytes() == before
    assert page.headers["x-frame-options"] == "DENY"
    assert "script" not in page.headers["content-security-policy"]


def test_only_this_machine_is_served_and_only_toml_is_edited(tmp_path: Path) -> None:
    with pytest.raises(ExitError, match="other machines"):
        serve(tmp_path / "a.toml", host="0.0.0.0")
    with pytest.raises(ExitError, match=r"\.toml"):
        create_app(tmp_path / "a.json")


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_new_file_begins_as_the_template(tmp_path: Path, lang: str) -> None:
    path = tmp_path / "new.toml"
    with client(path, lang=lang) as web:
        given = inputs(web.get("/").text)
        assert web.post("/", data=given).status_code == 303
    assert same(Profile.from_file(path), Profile.from_text(template(lang)))
    assert re.search(r"^# .*total_raised = ", path.read_text(), re.M)  # unknown: left as a comment


def test_a_broken_file_is_told_of_and_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "acme.toml"
    path.write_text("name = ")
    with client(path) as web:
        assert web.get("/").status_code == 422
        assert web.get("/report").status_code == 422
    assert path.read_text() == "name = "


def test_every_kind_of_value_survives_the_file() -> None:
    given = make_profile_dict(
        name='quote " \\ end', as_of="2026-11-20",
        correlation=[["growth_yoy", "ebitda_margin", 0.3]],
        uncertainty={"growth_yoy": {"dist": "triangular", "low": 0.3, "mode": 0.55, "high": 0.7}},
        funding_rounds=[{"date": "2024-05-01", "type": "series-a", "amount": "8m"}],
        fx={"HKD": 7.84, "date": "2026-11-20"}, assumptions={"discount_rate": 0.3},
    )  # fmt: skip
    words = profile_toml(given, "zh")
    made = Profile.from_text(words)
    assert same(made, Profile.from_dict(given))
    assert made.correlation == Profile.from_dict(given).correlation
    cells, values = cells_of(tomllib.loads(words))
    assert same(Profile.from_dict(values_of(cells)), Profile.from_dict(values))


# --- in a browser -------------------------------------------------------------------------------
CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)


@pytest.fixture
def address(file: Path) -> Iterator[str]:
    """The address of a server of its own, as the command starts it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "fastnn", "exit", "serve", str(file), "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(url, timeout=30).close()
                break
            except OSError:
                assert server.poll() is None, server.stderr and server.stderr.read()
                time.sleep(0.1)
        yield url
    finally:
        server.terminate()
        server.wait(30)
        if server.stderr:
            server.stderr.close()


@pytest.fixture
def page(address: str) -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api", reason="needs the extra `browser`")
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    with api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        made = browser.new_page(viewport={"width": 390, "height": 844})
        made.set_default_timeout(120_000)
        yield made
        browser.close()


def test_a_person_fills_in_the_form_in_a_browser(page: Any, address: str, file: Path) -> None:
    page.goto(address)
    page.fill("input[name=cash]", "many")
    page.click("button[value=form]")
    assert "expected a number" in page.inner_text("#f-cash-said")
    wide = page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert wide, "the form is wider than a phone"
    page.fill("input[name=cash]", "41m")
    page.click("button[value=report]")
    page.wait_for_selector("#answer, .answer")
    assert page.url.startswith(f"{address}/report")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert read_mapping(file)["cash"] == "41m"
    page.click(".back a")
    assert page.input_value("input[name=cash]") == "41m"


def test_a_page_of_another_site_cannot_post_from_a_browser(
    page: Any, address: str, file: Path, tmp_path: Path
) -> None:
    before = file.read_bytes()
    page.goto(address)
    token = page.get_attribute("input[name=token]", "value")
    evil = tmp_path / "evil.html"
    evil.write_text(
        f'<form method="post" action="{address}/"><input name="token" value="{token}">'
        '<input name="name" value="Mallory"><button>go</button></form>'
    )
    page.goto(evil.as_uri())
    page.click("button")
    page.wait_for_url(f"{address}/")
    assert "another site" in page.content()
    assert file.read_bytes() == before


def test_no_printed_page_is_half_empty(page: Any, file: Path, tmp_path: Path) -> None:
    """What a reader prints flows on: no reader's part begins a page of its own."""
    from fastnn.exit_strategy.evaluation import evaluate

    evaluate(Profile.from_file(file), draws=200).to_html(tmp_path / "r.html")
    page.goto((tmp_path / "r.html").as_uri())
    page.emulate_media(media="print")
    breaks = page.evaluate(
        "[...document.querySelectorAll('.page')].map(p => getComputedStyle(p).breakBefore)"
    )
    assert set(breaks) == {"auto"}
    tall = page.evaluate(
        "[...document.querySelectorAll('figure')].map(f => f.getBoundingClientRect().height)"
    )
    assert max(tall) < 600  # CSS pixels; a page of A4 has a thousand
