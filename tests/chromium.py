"""A headless Chromium for tests: Debian's packages chromium and chromium-driver, driven by selenium."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-prefers-reduced-motion",  # no smooth scrolling: an element stays where the test saw it
)


@contextmanager
def chromium(width: int = 1440, height: int = 1000) -> Iterator[Any]:
    """A selenium driver whose log holds the console and every request; skips the test where there is no Chromium."""
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not browser or not driver:
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium chromium-driver)")
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed: pip install selenium")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in (*FLAGS, f"--window-size={width},{height}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    made = _started(lambda: webdriver.Chrome(options=options, service=webdriver.ChromeService(driver)))
    try:
        yield made
    finally:
        made.quit()


def _started(start: Callable[[], Any]) -> Any:
    """Starts up to three times: on a busy machine chromedriver crashes now and then before it listens."""
    from selenium.common.exceptions import WebDriverException

    for _ in range(2):
        with suppress(WebDriverException):
            return start()
    return start()


def requests(driver: Any) -> list[str]:
    """URLs that the page asked for since the last call, embedded ones left out."""
    found = []
    for entry in driver.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            found.append(message["params"]["request"]["url"])
    return [url for url in found if not url.startswith("data:")]
