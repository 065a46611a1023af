"""The data of a page that was written, as a browser's parser finds it."""

import json
from html.parser import HTMLParser
from pathlib import Path


class _Data(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.inside, self.text = False, ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.inside = ("id", "data") in attrs

    def handle_data(self, data):
        self.text += data if self.inside else ""

    def handle_endtag(self, tag):
        self.inside = False


def data_of(page):
    return json.loads(_Data(Path(page).read_text()).text)
