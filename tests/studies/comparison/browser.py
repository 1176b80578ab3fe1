"""Opens a page in Qt WebEngine (Chromium): ``browser.py PAGE SCREENSHOT``; prints what it found as JSON.

A process of its own: Qt wants the main thread, and a browser's crash must not be the tests'.
"""

from __future__ import annotations

import json
import os
import sys

os.environ |= {
    "QT_QPA_PLATFORM": "offscreen",
    "QTWEBENGINE_DISABLE_SANDBOX": "1",
    "QTWEBENGINE_CHROMIUM_FLAGS": "--no-sandbox --disable-gpu",
}

from PyQt6.QtCore import QTimer, QUrl
from PyQt6.QtGui import QImage
from PyQt6.QtWebEngineCore import QWebEnginePage, QWebEngineUrlRequestInfo, QWebEngineUrlRequestInterceptor
from PyQt6.QtWebEngineWidgets import QWebEngineView
from PyQt6.QtWidgets import QApplication

WIDTH, HEIGHT = 1200, 3000
"""The window shows the tables and the first rows of pictures."""
LOOKS_ALIKE = 3
"""Equal grabs in a row after which nothing is still being painted."""
INSPECT = """(() => {
  document.querySelectorAll("details").forEach(d => d.open = true);
  const box = e => e.getBoundingClientRect();
  return JSON.stringify({
    title: document.title,
    height: document.documentElement.scrollHeight,
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    headings: [...document.querySelectorAll("h2")].map(e => e.innerText),
    images: [...document.images].map(i => ({name: i.alt, natural: i.naturalWidth, complete: i.complete,
                                            width: box(i).width, height: box(i).height})),
    verdict: [...document.querySelectorAll("#verdict tbody tr")].map(r => r.innerText),
    numbers: document.querySelectorAll("#numbers tbody tr").length,
    colors: [...document.querySelectorAll("#verdict .up")].map(e => getComputedStyle(e).color),
    clipped: [...document.querySelectorAll("td, th, h1, h2, figcaption")].filter(
        e => e.clientWidth > 0 && e.scrollWidth > e.clientWidth + 1).map(e => e.innerText),
  });
})()"""


class Page(QWebEnginePage):
    """Remembers what the page complains of."""

    complaints: list[str]

    def javaScriptConsoleMessage(
        self, level: QWebEnginePage.JavaScriptConsoleMessageLevel, message: str, line: int, source: str
    ) -> None:
        self.complaints.append(message)


class Requests(QWebEngineUrlRequestInterceptor):
    """Remembers what is asked for beside the page and its own data."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def interceptRequest(self, info: QWebEngineUrlRequestInfo) -> None:
        if info.requestUrl().scheme() != "data":
            self.asked.append(info.requestUrl().toString())


def main(page: str, screenshot: str) -> int:
    application = QApplication(sys.argv[:1])
    view, requests = QWebEngineView(), Requests()
    content = Page(view)
    content.complaints = []
    view.setPage(content)
    content.profile().setUrlRequestInterceptor(requests)
    view.resize(WIDTH, HEIGHT)
    view.show()

    def loaded(well: bool) -> None:
        assert well, f"{page} did not load"
        content.runJavaScript(INSPECT, inspected)

    def inspected(text: str) -> None:
        found = {**json.loads(text), "requests": requests.asked, "complaints": content.complaints}
        print(json.dumps(found), flush=True)
        shoot(None, 1)

    def shoot(before: QImage | None, alike: int) -> None:
        """Grabs the window until it stays as it is."""
        now = view.grab().toImage()
        alike = alike + 1 if now == before else 1
        if alike == LOOKS_ALIKE:
            now.save(screenshot)
            application.quit()
        else:
            QTimer.singleShot(500, lambda: shoot(now, alike))

    view.loadFinished.connect(loaded)
    QTimer.singleShot(90_000, lambda: application.exit(1))
    view.load(QUrl.fromLocalFile(page))
    return application.exec()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
