"""The demo as a person meets it: Compare filled from the cache at once, trade-offs of both studies."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.browser.conftest import Dashboard
from tests.browser.steps import marks, screenshot, wait_ready

LOADING_MS = 120_000


def test_compare_is_filled_before_any_model_is_loaded(
    page: Page, dark_page: Page, dashboard: Dashboard
) -> None:
    for view in (page, dark_page):
        view.goto(f"{dashboard.url}/compare")
        wait_ready(view)
        expect(view.get_by_role("article")).to_have_count(8)
        expect(view.get_by_role("article", name="Original", exact=True)).to_contain_text("from cache")
        expect(view.get_by_text("No model loaded")).to_be_visible()
        screenshot(view, "demo-compare")


def test_trade_offs_of_both_studies(page: Page, dashboard: Dashboard) -> None:
    for study, points in (("fictitious-people", 32), ("neon-pictures", 23)):
        page.goto(f"{dashboard.url}/tradeoffs?study={study}")
        wait_ready(page)
        expect(marks(page).nth(points - 1)).to_be_visible()
        screenshot(page, f"demo-tradeoffs-{study}")


def test_a_fresh_prompt_streams_through_the_real_language_models_and_stops(
    page: Page, dashboard: Dashboard
) -> None:
    page.goto(f"{dashboard.url}/?study=fictitious-people&prompt=Name+three+fruits.&models=NPO+45")
    wait_ready(page)
    run, stop = (page.get_by_role("button", name=name, exact=True) for name in ("Run", "Stop"))
    run.click()
    stop.click()
    expect(page.get_by_text("Stopped", exact=False).first).to_be_visible(timeout=LOADING_MS)
    run.click()
    expect(stop).to_be_visible()
    expect(stop).to_have_count(0, timeout=LOADING_MS)
    wait_ready(page)
    for model in ("Original", "NPO 45"):
        card = page.get_by_role("article", name=model, exact=True)
        expect(card).to_contain_text("fresh")
        expect(card).to_contain_text(re.compile(r"1\. \w+\s+2\. \w+\s+3\. \w+"))
    screenshot(page, "demo-live-text")


def test_a_fresh_prompt_is_drawn_by_the_real_image_models(page: Page, dashboard: Dashboard) -> None:
    page.goto(f"{dashboard.url}/?study=neon-pictures&prompt=A+cat+image+in+flat+style.&models=SalUn+160")
    wait_ready(page)
    page.get_by_role("button", name="Run", exact=True).click()
    stop = page.get_by_role("button", name="Stop", exact=True)
    expect(stop).to_be_visible()
    expect(stop).to_have_count(0, timeout=LOADING_MS)
    wait_ready(page)
    for model in ("Original", "SalUn 160"):
        column = page.get_by_role("article", name=model, exact=True)
        expect(column.get_by_role("img")).to_have_count(2)
        expect(column).to_contain_text("cat")
    screenshot(page, "demo-live-image")
