"""Makes the pictures of the report and of the page to review, of samples/ captioned with the model that ships.

python docs/screenshot.py     # from the root of the checkout; needs Chromium; writes docs/images/{report,review}.jpg
"""

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image
from selenium.webdriver.support.ui import WebDriverWait

sys.path.insert(0, ".")

from beam_job.cli import main
from beam_job.review.command import main as review
from tests.chromium import chromium


def photograph(page: Path, width: int, height: int, picture: str) -> None:
    """Opens a page in Chromium and keeps what it looks like."""
    with chromium(width, height) as browser:
        browser.get(page.as_uri())
        WebDriverWait(browser, 60).until(lambda _: browser.find_elements("css selector", "main img"))
        browser.execute_async_script(
            "Promise.all([...document.images].map((image) => { image.loading = 'eager'; return image.decode(); }))"
            ".then(arguments[0])"
        )
        png = browser.get_screenshot_as_png()
    Path(picture).parent.mkdir(exist_ok=True)
    Image.open(io.BytesIO(png)).convert("RGB").save(picture, quality=82, optimize=True)


with tempfile.TemporaryDirectory() as folder:
    argv = ["--images", "samples/*.jpg", "--output", f"{folder}/captions", "--runner=DirectRunner", "--attention"]
    if main([*argv, "--num_captions=3", "--report", *sys.argv[1:]]) or review([f"{folder}/captions"]):
        sys.exit("the samples could not be captioned")
    pages = Path(folder).glob("captions/run=*/report.html"), Path(folder).glob("captions/review-*.html")
    (report,), (to_review,) = pages
    for page in (report, to_review):  # the pictures show no folder of the machine they were made on
        page.write_text(page.read_text().replace(f"{folder}/", "").replace(f"{Path.cwd()}/", ""))
    photograph(report, 1400, 1960, "docs/images/report.jpg")
    photograph(to_review, 1200, 760, "docs/images/review.jpg")
