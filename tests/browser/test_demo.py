"""The demo as a person meets it: Compare filled from the cache at once, trade-offs of both studies."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.conftest import Dashboard
from tests.browser.steps import screenshot, wait_ready


def test_compare_is_filled_before_any_model_is_loaded(
    page: Page, dark_page: Page, dashboard: Dashboard
) -> None:
    for view in (page, dark_page):
        view.goto(dashboard.url)
        wait_ready(view)
        expect(view.get_by_role("article")).to_have_count(6)
        expect(view.get_by_role("article", name="Original", exact=True)).to_contain_text("from cache")
        expect(view.get_by_text("No model loaded")).to_be_visible()
        screenshot(view, "demo-compare")


def test_trade_offs_of_both_studies(page: Page, dashboard: Dashboard) -> None:
    for study, points in (("fictitious-people", 22), ("neon-pictures", 18)):
        page.goto(f"{dashboard.url}/tradeoffs?study={study}")
        wait_ready(page)
        expect(page.locator(".js-plotly-plot .scatterlayer .point").first).to_be_visible()
        assert page.locator(".js-plotly-plot .scatterlayer .point").count() >= points
        screenshot(page, f"demo-tradeoffs-{study}")
