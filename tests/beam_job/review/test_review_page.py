"""The page to review with, in a real browser, by keyboard, mouse and touch."""

import json
from contextlib import contextmanager

import pytest
from PIL import Image
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from beam_job.records import Caption, CaptionRecord, Label
from beam_job.review.command import main
from beam_job.runs.digest import digest64
from beam_job.runs.reviews import read_reviews
from tests.chromium import chromium, requests
from tests.written_run import write_run

EVIL = (
    "<img/src=x/onerror=evil()>",
    "</script><script>evil()</script>",
    "{{data}} &lt;b&gt;",
    "\u202eevil\u2066 \u05d0",
)
NAMES = ("<img src=x onerror=evil()>.png", "a'b&amp;\u202egnp.png", '"><b>.png', *(f"plain-{n}.png" for n in range(5)))

OTHERS = '{"verdict": "skipped", "caption": null, "time": "2026-01-02T03:04:05.678Z", "reviewer": "Bob"}'
BROKEN = (
    "{",
    "null",
    "[1]",
    '{"verdict": 5, "caption": null, "time": "2026-01-02T03:04:05.678Z", "reviewer": "Bob"}',
    '{"verdict": "corrected", "caption": null, "time": "2026-01-02T03:04:05.678Z", "reviewer": "Bob"}',
    '{"verdict": "right", "caption": null, "time": 5, "reviewer": {}}',
)
KEEP = "localStorage.setItem(DATA.items[arguments[0]].key, arguments[1])"
WAKE = "dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))"  # as a browser does on going back


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """A run over photos with hostile names and captions, each with another caption to choose."""
    folder = tmp_path_factory.mktemp("review")
    records = []
    for number, name in enumerate(NAMES):
        Image.new("RGB", (600, 400), (40 * number % 256, 90, 160)).save(folder / name)
        texts = [EVIL[number % len(EVIL)] if number < 4 else f"A dog number {number}.", f"A cat number {number}."]
        captions = [Caption(text, [text], -0.5 - number / 10, -1.0, True) for text in texts]
        labels = [Label(EVIL[1], 0.75), Label("tabby", 0.05)] if number == 1 else None
        records.append(CaptionRecord(str(folder / name), 600, 400, "f" * 64, "CPU", captions, labels=labels))
    write_run(folder / "out", records)
    return folder / "out"


@pytest.fixture(scope="module")
def written(archive):
    assert main([str(archive), "--uris", str(write_list(archive.parent))]) == 0
    (page,) = archive.glob("review-*.html")
    return page


@pytest.fixture
def address(written, tmp_path):
    """The page under an identity of this test's own, so that it never takes up the work of another test."""
    html, identity = written.read_text(), written.stem.removeprefix("review-")
    assert html.count(identity) == 1
    page = tmp_path / "review.html"
    page.write_text(html.replace(identity, f"{digest64(str(tmp_path)):016x}"))
    return page.as_uri()


def write_list(folder):
    path = folder / "list.txt"
    path.write_text("".join(f"{folder / name}\n" for name in NAMES))
    return path


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(1200, 900) as driver:
        driver.downloads = tmp_path_factory.mktemp("downloads")
        driver.execute_cdp_cmd(
            "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(driver.downloads)}
        )
        driver.execute_cdp_cmd(
            "Page.addScriptToEvaluateOnNewDocument", {"source": "window.evil = () => { window.ill = 1 }"}
        )
        yield driver


@pytest.fixture
def page(browser, address):
    """The page, opened for the first time; at the end nothing was requested and nothing evil has run."""
    requests(browser)
    browser.get_log("browser")
    open_page(browser, address)
    yield browser
    assert {url for url in requests(browser) if not url.startswith("blob:")} <= {address}
    assert browser.get_log("browser") == []
    assert browser.execute_script("return window.ill") is None


def press(browser, *keys):
    ActionChains(browser).send_keys(*keys).perform()


def find(browser, css):
    return browser.find_element("css selector", css)


def field(browser):
    return find(browser, "#caption").get_property("value")


def downloaded(browser):
    """The file that comes of the key D, once it is whole."""
    for path in browser.downloads.iterdir():
        path.unlink()
    press(browser, "d")
    return wait(browser).until(lambda _: next(browser.downloads.glob("*.jsonl"), None))


def wait(browser):
    """Long enough for a busy machine: the wait ends with the condition."""
    return WebDriverWait(browser, 60, 0.05)


def open_page(browser, address):
    """Opens the page; returns where it is."""
    browser.get(address)
    return wait(browser).until(lambda _: find(browser, "#place").text)


def open_again(browser, address, place):
    """Opens the page until it is at that place: what another tab has kept may take a moment to get there."""
    wait(browser).until(lambda _: open_page(browser, address) == place)


def shows(browser, text):
    wait(browser).until(lambda _: text in find(browser, "#place").text)


@contextmanager
def second_tab(browser, address):
    """The page in another tab, to which the driver is switched meanwhile."""
    first = browser.current_window_handle
    browser.switch_to.new_window("tab")
    second = browser.current_window_handle
    try:
        open_page(browser, address)
        yield first, second
    finally:
        browser.switch_to.window(second)
        browser.close()
        browser.switch_to.window(first)


def test_photos_are_reviewed_by_keyboard_in_one_go_and_the_download_is_added(page, archive):
    assert find(page, ".stage img").get_property("naturalWidth") == 600
    assert field(page) == EVIL[0]
    assert not page.find_elements("css selector", ".labels")
    press(page, "r")  # right
    assert field(page) == EVIL[1]
    assert find(page, ".labels").text == f"Labels: {EVIL[1]} 75 %, tabby 5.0 %"
    press(page, "e", "A <b>lamp</b>  on a table.", Keys.ENTER)  # corrected: the whole text was selected
    press(page, "w")  # wrong
    press(page, "s")  # skipped
    assert field(page) == "A dog number 4."
    press(page, "2", Keys.ESCAPE)  # there is one other caption only: nothing happens
    press(page, "1")
    assert field(page) == "A cat number 4."
    press(page, Keys.ENTER)  # corrected by the other caption
    press(page, "e", Keys.ENTER)  # edited to nothing else: right
    press(page, "b")
    assert field(page) == "A dog number 5."
    press(page, "w")  # after second thoughts: wrong
    assert field(page) == "A dog number 6."
    press(page, "e", "x", Keys.ESCAPE)
    assert field(page) == "A dog number 6."
    press(page, "r", "r")
    assert "All photos are reviewed" in find(page, ".end").text
    assert find(page, "#place").text == "8 of 8 reviewed"
    path = downloaded(page)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["verdict"] for row in rows] == [
        *("right", "corrected", "wrong", "skipped", "corrected", "wrong", "right", "right")
    ]
    assert [row["caption"] for row in rows if row["caption"]] == ["A <b>lamp</b> on a table.", "A cat number 4."]
    assert [row["uri"].rpartition("/")[2] for row in rows] == list(NAMES)
    assert {row["of"] for row in rows} == {8}
    assert main([str(archive), "--add", str(path)]) == 0
    assert len(read_reviews(str(archive)).rows) == 8


def test_work_is_taken_up_again_and_belongs_to_its_page(page, address, archive, tmp_path):
    find(page, "#reviewer").send_keys("Ann r")  # letters in a field are no verdicts
    press(page, Keys.TAB, Keys.TAB)
    page.execute_script("document.activeElement.blur()")
    press(page, "r", "w")
    open_again(page, address, "Photo 3 of 8 · 2 reviewed")
    assert find(page, "#reviewer").get_property("value") == "Ann r"
    rows = [json.loads(line) for line in downloaded(page).read_text().splitlines()]
    assert [(row["verdict"], row["reviewer"]) for row in rows] == [("right", "Ann r"), ("wrong", "Ann r")]
    other = tmp_path / "list.txt"
    other.write_text(f"{archive.parent / NAMES[0]}\n")
    assert main([str(archive), "--uris", str(other), "--to", str(tmp_path / "other.html")]) == 0
    assert open_page(page, (tmp_path / "other.html").as_uri()) == "Photo 1 of 1 · 0 reviewed"
    requests(page)


def test_a_second_tab_goes_on_where_the_first_is(page, address):
    press(
        page, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, "e", "A half"
    )  # the first tab stands at the third photo, being edited
    with second_tab(page, address) as (first, _):
        press(page, "r", "w")
        page.switch_to.window(first)
        shows(page, "2 reviewed")
        assert field(page) == "A half"
        press(page, " lamp.", Keys.ENTER)
    shows(page, "Photo 4 of 8 · 3 reviewed")
    open_again(page, address, "Photo 4 of 8 · 3 reviewed")


def test_a_tab_that_has_not_heard_of_another_ones_work_does_not_overwrite_it(page, address):
    press(page, "r", "r")
    page.execute_script(KEEP, 1, OTHERS)  # as another tab does: this page gets no event of it
    page.execute_script(KEEP, 6, OTHERS)
    press(page, "w")
    page.execute_script(WAKE)
    assert find(page, "#place").text == "Photo 4 of 8 · 4 reviewed"
    rows = [json.loads(line) for line in downloaded(page).read_text().splitlines()]
    assert [row["verdict"] for row in rows] == ["right", "skipped", "wrong", "skipped"]
    open_again(page, address, "Photo 4 of 8 · 4 reviewed")


def test_work_that_is_deleted_while_a_page_is_open_is_kept_again(page, address):
    press(page, "r", "w")
    with second_tab(page, address) as (first, second):
        open_again(page, address, "Photo 3 of 8 · 2 reviewed")
        page.execute_script("localStorage.clear()")
        page.switch_to.window(first)
        press(page, "s")
        page.switch_to.window(second)
        open_again(page, address, "Photo 4 of 8 · 3 reviewed")


def test_mouse_and_touch_do_the_same(page):
    for button in ("#right", "#wrong", "#skipped"):
        find(page, button).click()
    find(page, ".other").click()
    find(page, "#corrected").click()  # it says Save now
    find(page, "#back").click()
    assert find(page, "#place").text == "Photo 4 of 8 · 4 reviewed"
    assert field(page) == "A cat number 3."
    assert find(page, "#corrected").get_attribute("aria-pressed") == "true"
    page.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    place = find(page, "#wrong").rect
    point = {"x": place["x"] + place["width"] / 2, "y": place["y"] + place["height"] / 2}
    page.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [point]})
    page.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    shows(page, "Photo 5 of 8 · 4 reviewed")
    page.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})
    press(page, "b")
    assert find(page, "#wrong").get_attribute("aria-pressed") == "true"


def test_a_correction_stays_when_it_is_called_right_and_can_be_taken_back(page):
    press(page, "e", "A lamp.", Keys.ENTER, "b")
    assert field(page) == "A lamp."
    assert find(page, "#corrected").text.startswith("Save")
    press(page, "r", "b")
    assert field(page) == "A lamp."
    press(page, "1")  # the caption that was shown
    assert field(page) == EVIL[0]
    press(page, Keys.ENTER, "b")
    assert find(page, "#right").get_attribute("aria-pressed") == "true"


def test_keys_with_others_and_held_keys_do_nothing(page):
    ActionChains(page).key_down(Keys.ALT).send_keys("r").key_up(Keys.ALT).perform()
    page.execute_script(
        "for (const repeat of [true, true]) document.body.dispatchEvent("
        "new KeyboardEvent('keydown', {key: 'r', code: 'KeyR', repeat, bubbles: true}))"
    )
    assert find(page, "#place").text == "Photo 1 of 8 · 0 reviewed"
    page.execute_script(  # a Russian keyboard
        "document.body.dispatchEvent(new KeyboardEvent('keydown', {key: 'к', code: 'KeyR', bubbles: true}))"
    )
    assert find(page, "#place").text == "Photo 2 of 8 · 1 reviewed"
    press(page, "e", Keys.DELETE, Keys.ENTER)
    assert "empty" in find(page, "#status").text
    assert find(page, "#place").text == "Photo 2 of 8 · 1 reviewed"


def test_a_browser_that_keeps_nothing_says_so_until_it_keeps_all(page, address):
    page.execute_script(
        "window.whole = Storage.prototype.setItem;"
        "Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError') }"
    )
    press(page, "r")
    assert "cannot save your work" in find(page, "#notice").text
    page.execute_script("Storage.prototype.setItem = window.whole")
    press(page, "w")
    assert not find(page, "#notice").is_displayed()
    open_again(page, address, "Photo 3 of 8 · 2 reviewed")


def test_a_browser_without_storage_says_so(page):
    page.execute_script("Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('no') } })")
    page.execute_script(WAKE)
    press(page, "r")
    assert "cannot save your work" in find(page, "#notice").text
    assert find(page, "#place").text == "Photo 2 of 8 · 1 reviewed"
    assert len(downloaded(page).read_text().splitlines()) == 1  # and leaving the page asks nothing


@pytest.mark.parametrize("kept", BROKEN)
def test_kept_work_that_is_broken_is_passed_over(kept, page):
    page.execute_script("localStorage.setItem(REVIEWER, arguments[0])", kept)
    page.execute_script(KEEP, 0, kept)
    page.execute_script(WAKE)
    assert find(page, "#place").text == "Photo 1 of 8 · 0 reviewed"
    assert find(page, "#reviewer").get_property("value") == ""


def test_it_fits_a_phone(page):
    page.set_window_size(500, 900)
    try:
        width = page.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
        assert width[0] <= width[1]
        sizes = page.execute_script(
            "return [...document.querySelectorAll('button')].map((one) => one.getBoundingClientRect().height)"
        )
        assert min(sizes) >= 44
    finally:
        page.set_window_size(1200, 900)
