"""Makes the README's picture of the report, of samples/ captioned with the model that ships, in Chromium.

python docs/screenshot.py     # from the root of the checkout; writes docs/images/report.jpg
"""

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image

sys.path.insert(0, ".")

from beam_job.cli import main
from tests.chromium import chromium

WIDTH, HEIGHT = 1400, 1960

with tempfile.TemporaryDirectory() as folder:
    argv = [
        "--images",
        "samples/*.jpg",
        "--output",
        f"{folder}/captions",
        "--runner=DirectRunner",
        "--attention",
        "--report",
    ]
    if main([*argv, *sys.argv[1:]]):
        sys.exit("the samples could not be captioned")
    (page,) = Path(folder).glob("captions/run=*/report.html")
    text = page.read_text().replace(f"{folder}/", "")  # the picture shows no folder of the machine it was made on
    page.write_text(text)
    with chromium(WIDTH, HEIGHT) as browser:
        browser.get(page.as_uri())
        browser.execute_async_script(
            "Promise.all([...document.images].map((image) => { image.loading = 'eager'; return image.decode(); }))"
            ".then(arguments[0])"
        )
        png = browser.get_screenshot_as_png()

Path("docs/images").mkdir(exist_ok=True)
Image.open(io.BytesIO(png)).convert("RGB").save("docs/images/report.jpg", quality=85, optimize=True)
