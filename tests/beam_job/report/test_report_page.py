"""The report of a real run, in a real browser."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image
from selenium.webdriver.support.ui import WebDriverWait

from beam_job.cli import main
from beam_job.model.answer.labels import Labels
from beam_job.report import write_report
from tests.chromium import chromium, requests
from tests.tiny_model import write_tiny_model
from tests.written_run import caption_record, write_run

EVIL_WORDS = ("<img/src=x/onerror=evil()>", "</script><script>evil()</script>", "<b>bold</b>", "{{data}}", "&lt;")
EVIL_NAMES = (
    "<img src=x onerror=evil()>.png",
    '"><script>evil()<\u2215script>.png',
    "javascript:evil().png",
    "a'b&amp;\u202egnp.png",
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of the job over images with hostile names, by a model with hostile words; attention recorded."""
    folder = tmp_path_factory.mktemp("report")
    labels = Labels((EVIL_WORDS[1],), ((),))  # a single class, which is always seen
    write_tiny_model(folder / "model", size=32, words=EVIL_WORDS, labels=labels)
    images = folder / "images"
    images.mkdir()
    for number, name in enumerate((*EVIL_NAMES, *(f"plain-{n}.png" for n in range(8)))):
        Image.effect_mandelbrot((60 + number, 40), (-2, -1.5, 1 + number / 9, 1.5), 40).convert("RGB").save(
            images / name
        )
    (images / "<b>broken<b>.png").write_bytes(b"no image")
    argv = [
        "--images",
        f"{images}/*",
        "--output",
        f"{folder}/out",
        "--model",
        f"{folder}/model",
        "--attention",
        "--report",
    ]
    assert main([*argv, "--decoding=beam", "--num_captions=2", "--batch_size=4", "--runner=DirectRunner"]) == 0
    return folder / "out"


@pytest.fixture(scope="module")
def browser():
    with chromium() as driver:
        yield driver


@pytest.fixture
def page(browser, run):
    """The report, freshly opened; at the end the console is empty, nothing was requested and nothing evil has run."""
    address = next(run.glob("run=*/report.html")).as_uri()
    requests(browser)
    browser.get_log("browser")
    browser.get("about:blank")
    browser.execute_cdp_cmd(
        "Page.addScriptToEvaluateOnNewDocument", {"source": "window.evil = () => { window.ill = 1 }"}
    )
    browser.get(address)
    yield browser
    browser.execute_async_script("setTimeout(arguments[0])")  # behind all that the test has set off
    assert set(requests(browser)) <= {"about:blank", address}
    assert browser.get_log("browser") == []
    assert browser.execute_script("return window.ill") is None


def find(browser, css):
    return browser.find_elements("css selector", css)


def captions(browser):
    return [element.text for element in find(browser, "#cards .text")]


def press(browser, *keys):
    from selenium.webdriver import ActionChains

    for key in keys:
        ActionChains(browser).send_keys(key).perform()


def choose(browser, css, value):
    browser.execute_script(
        "const s = document.querySelector(arguments[0]); s.value = arguments[1]; s.dispatchEvent(new Event('change'))",
        css,
        value,
    )


def scores(browser):
    return browser.execute_script("return GALLERY.shown.map((item) => latest(item).score)")


def test_search_filter_and_sort(page):
    everything = captions(page)
    assert len(everything) == 12
    assert scores(page) == sorted(scores(page))
    find(page, "#search")[0].send_keys("plain-3")
    assert len(captions(page)) == 1
    assert find(page, "#shown")[0].text == "1 image shown"
    find(page, "#search")[0].send_keys(" nothing")
    assert captions(page) == []
    assert find(page, "#none")[0].is_displayed()
    find(page, "#search")[0].clear()
    find(page, "#search")[0].send_keys(" ")
    choose(page, "#sort", "most")
    assert scores(page) == sorted(scores(page), reverse=True)
    choose(page, "#sort", "name")
    names = page.execute_script("return GALLERY.shown.map((item) => item.uri)")
    assert names == sorted(names)
    assert len(captions(page)) == 12


def test_a_bar_of_the_histogram_shows_its_images_by_mouse_and_by_keyboard(page):
    bar = next(bar for bar in find(page, ".bar") if bar.is_enabled())
    count = int(bar.get_attribute("aria-label").split(": ")[1].split()[0])
    bar.click()
    assert len(captions(page)) == count
    assert bar.get_attribute("aria-pressed") == "true"
    press(page, "\ue007")  # Enter, on the bar that has the focus
    assert len(captions(page)) == 12


def test_attention_by_mouse(page):
    page.execute_script("document.querySelector('.card').scrollIntoView({block: 'center'})")
    find(page, ".card")[0].click()
    canvas = find(page, "#attention")[0]
    assert not canvas.is_displayed()
    words = find(page, ".word")
    words[0].click()
    assert canvas.is_displayed()
    assert (canvas.get_attribute("width"), canvas.get_attribute("height")) == ("4", "4")
    first = page.execute_script("return arguments[0].toDataURL()", canvas)
    words[1].click()
    assert page.execute_script("return arguments[0].toDataURL()", canvas) != first
    image, overlay = (find(page, f".frame {name}")[0].rect for name in ("img", "canvas"))
    assert overlay == pytest.approx(image, abs=1)
    find(page, "#next")[0].click()
    assert "2 of 12" in find(page, ".viewer-bar")[0].text
    find(page, "#close")[0].click()
    assert not find(page, "dialog[open]")


def test_attention_by_keyboard(page):
    from selenium.webdriver.common.keys import Keys

    find(page, "#search")[0].send_keys("plain")
    press(page, Keys.TAB, Keys.TAB, Keys.TAB, Keys.ENTER)  # over the two lists to the first image
    assert find(page, "dialog[open]")
    while page.switch_to.active_element.get_attribute("class") != "word":
        press(page, Keys.TAB)
    assert find(page, "#attention")[0].is_displayed()
    chosen = page.execute_script("return VIEWER.word")
    press(page, Keys.ARROW_RIGHT)
    assert page.execute_script("return VIEWER.word") == chosen + 1
    press(page, Keys.END)
    last = page.execute_script("return [VIEWER.word, VIEWER.caption.log_probs.length - 1]")
    assert last[0] == last[1]
    press(page, Keys.PAGE_DOWN)
    assert page.execute_script("return GALLERY.shown.indexOf(VIEWER.item)") == 1
    press(page, Keys.ESCAPE)
    assert not find(page, "dialog[open]")
    assert page.switch_to.active_element.get_attribute("class") == "card"


def test_hostile_names_and_captions_are_text(page):
    text = page.execute_script("return document.body.innerText")
    assert "<img src=x onerror=evil()>.png" in text
    assert all(any(word in caption.lower() for word in EVIL_WORDS) for caption in captions(page))
    assert {element.text for element in find(page, "#cards .labels")} == {f"Labels: {EVIL_WORDS[1]} 100 %"}
    find(page, "#failures summary")[0].click()
    assert "<b>broken<b>.png" in find(page, "#failures")[0].text
    assert page.execute_script("return document.querySelectorAll('script').length") == 2
    assert page.execute_script("return document.querySelectorAll('img:not(.picture img), main b').length") == 0


def test_an_inline_script_would_not_run(page):
    """Even if something slipped through the escaping, the page's own policy stops it."""
    page.execute_script("document.body.insertAdjacentHTML('beforeend', '<img src=data:x onerror=evil()>')")

    def is_refused(browser):
        return any("Content Security Policy" in entry["message"] for entry in browser.get_log("browser"))

    WebDriverWait(page, 60).until(is_refused)
    assert page.execute_script("return window.ill") is None


def test_it_fits_a_phone_and_follows_dark_mode(page):
    wide = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    try:
        page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", wide)
        assert page.execute_script("return document.documentElement.scrollWidth") == 390
        find(page, ".card")[0].click()
        assert page.execute_script("return document.querySelector('dialog').scrollWidth") <= 390
        colours = []
        for scheme in ("light", "dark"):
            features = [{"name": "prefers-color-scheme", "value": scheme}]
            page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
            colours.append(page.execute_script("return getComputedStyle(document.body).backgroundColor"))
        assert colours[0] != colours[1]
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_two_runs_side_by_side(browser, run, tmp_path):
    (first,) = run.glob("run=*")
    second = tmp_path / "run=20990101T000000Z-ffffff"
    shutil.copytree(first, second)
    about = json.loads((second / "manifest.json").read_text())
    about["options"]["decoding"]["beam_width"] = 7
    (second / "manifest.json").write_text(json.dumps(about))
    page = write_report(str(first), compare=str(second), to=str(tmp_path / "page.html"))
    browser.get(Path(page).as_uri())
    assert browser.get_log("browser") == []
    changed = [row.text for row in find(browser, ".comparison tr.changed")]
    assert changed == ["beam width 3 7"]
    assert len(captions(browser)) == 24


def test_the_page_of_a_hundred_thousand_records_opens_with_the_first_ones_alone(browser, tmp_path):
    photo = Path(__file__).parents[3] / "samples" / "temple.jpg"
    for number in range(1000):
        (tmp_path / f"{number}.jpg").symlink_to(photo)
    records = (
        caption_record(f"{tmp_path}{'/.' * (n // 1000)}/{n % 1000}.jpg", f"A dog {n % 999}.", -n / 1e5, 640, 427)
        for n in range(100_000)
    )
    page = Path(write_report(str(write_run(tmp_path / "out", records))))
    assert 2**20 < page.stat().st_size < 5 * 2**20
    browser.execute_cdp_cmd("Performance.enable", {})
    browser.get(page.as_uri())
    metrics = {one["name"]: one["value"] for one in browser.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]}
    assert len(find(browser, ".card")) == 300
    assert metrics["Nodes"] < 20_000
