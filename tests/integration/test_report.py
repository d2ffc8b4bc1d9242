"""The report in a real browser: nothing from outside, no errors, nothing wider than a phone."""

import pytest

from job.reporting import report
from tests.support import bundles

KINDS = ("single_label", "multi_label", "many_classes", "whole_matrix", "regression")


@pytest.fixture
def shown(browser, tmp_path):
    """Opens the report of one kind of run."""

    def show(kind, width, scheme="light"):
        path = tmp_path / f"{kind}.html"
        path.write_text(report.render(getattr(bundles, kind)()), encoding="utf-8")
        browser.open(path.as_uri(), width, scheme=scheme)
        return browser

    return show


@pytest.mark.parametrize("kind", KINDS)
def test_no_errors_and_no_request_but_the_file(shown, kind):
    page = shown(kind, 1280)
    urls = [event["request"]["url"] for event in page.seen("Network.requestWillBeSent")]
    assert [url for url in urls if not url.startswith("data:")] == [page.evaluate("location.href")]
    assert page.seen("Log.entryAdded") == []
    assert page.seen("Runtime.consoleAPICalled") == []
    assert page.seen("Runtime.exceptionThrown") == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", [390, 768, 1280])
def test_page_does_not_scroll_sideways(shown, kind, width):
    page = shown(kind, width)
    page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
    assert page.evaluate("window.innerWidth") == width
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_script_in_the_data_does_not_run(shown):
    page = shown("single_label", 1280)
    assert page.evaluate("typeof window.broken") == "undefined"
    assert page.evaluate("document.scripts.length + document.images.length") == 0
    assert page.evaluate("document.body.innerText.includes('<script>window.broken=1</script>')")


def test_policy_of_the_page_forbids_scripts_that_get_in(shown):
    page = shown("single_label", 1280)
    page.evaluate("void document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.broken=1\">')")
    page.evaluate("new Promise(done => setTimeout(done, 50))")
    assert page.evaluate("typeof window.broken") == "undefined"


CONTRAST = """
(() => {
  const canvas = document.createElement('canvas'); canvas.width = canvas.height = 1;
  const paint = canvas.getContext('2d', {willReadFrequently: true});
  const rgb = colour => { paint.clearRect(0, 0, 1, 1); paint.fillStyle = colour; paint.fillRect(0, 0, 1, 1); return [...paint.getImageData(0, 0, 1, 1).data]; };
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4).reduce((s, v, i) => s + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = node => { for (let n = node; n; n = n.parentElement) { const c = rgb(getComputedStyle(n).backgroundColor); if (c[3] === 255) return c; } return rgb('white'); };
  const low = [];
  for (const node of document.querySelectorAll('p, td, th, dt, dd, caption, figcaption, summary, li, b, small, blockquote, svg text')) {
    if (!node.textContent.trim()) continue;
    const style = getComputedStyle(node), a = light(rgb(node.closest('svg') ? style.fill : style.color)), b = light(behind(node));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) low.push(`${node.tagName} ${node.textContent.slice(0, 30)}: ${ratio.toFixed(2)}`);
  }
  return low;
})()
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_is_enough_to_read(shown, scheme):
    assert shown("single_label", 1280, scheme).evaluate(CONTRAST) == []


def test_dark_is_dark(shown):
    colours = {
        scheme: shown("single_label", 1280, scheme).evaluate("getComputedStyle(document.body).backgroundColor")
        for scheme in ("light", "dark")
    }
    assert colours == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 27)"}


def test_pictures_and_tables_say_what_they_are(shown):
    page = shown("single_label", 1280)
    assert page.evaluate(
        "[...document.querySelectorAll('svg')].every(one => one.querySelector('title') && one.querySelector('desc').textContent)"
    )
    assert page.evaluate(
        "[...document.querySelectorAll('table')].every(one => one.caption && one.querySelector('thead th[scope=col]'))"
    )


def test_text_in_charts_is_read_at_its_own_size_on_a_phone(shown):
    page = shown("single_label", 390)
    smallest = "Math.min(...[...document.querySelectorAll('svg text')].map(one => one.getBoundingClientRect().height))"
    assert page.evaluate(smallest) >= 10
