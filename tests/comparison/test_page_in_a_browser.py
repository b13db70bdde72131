"""The page of a comparison in headless Chromium, where it is installed: phone, desktop, paper."""

import re
import shutil
import subprocess
from html import escape
from pathlib import Path

import numpy as np
import pytest

from tests.comparison.test_arms import live
from tests.logs.builders import AT_US, DAY_US, outcome_batch, shadow_batch
from understudy.comparison.compare import compare
from understudy.comparison.compare_arms import compare_live_arms
from understudy.comparison.evidence.rows import Question
from understudy.comparison.plan import Plan
from understudy.comparison.render.arm_page import arm_page_of
from understudy.comparison.render.page import page_of
from understudy.domain.margins import Costs, Margins, Measure
from understudy.logs.writer import LogWriter

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]
PHONE, DESKTOP, HEIGHT = 390, 1_100, 9_000
FIGURES = 11
A_DAY, DAYS = 200, 4
PROBE = """<script>
const most = each => Math.max(0, ...each);
const wide = [...document.querySelectorAll('.wide')].map(e => e.scrollWidth - e.clientWidth);
const page = document.documentElement.scrollWidth - innerWidth;
const drawn = [...document.querySelectorAll('svg')].map(e => e.getBoundingClientRect());
const outside = drawn.map(e => Math.ceil(e.right) - innerWidth);
const shown = drawn.filter(e => e.width > 200 && e.height > 100).length;
parent.document.title = [innerWidth, most([page, ...wide, ...outside]), shown].join(' ');
</script>"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a page with every table and figure, and ids as long as those of callers."""
    root = tmp_path_factory.mktemp("logs")
    random = np.random.default_rng(1)
    rows = A_DAY * DAYS
    labels = (random.random(rows) < 0.4).astype(np.float64)
    champion, shadow = np.clip(0.3 * labels + random.random((2, rows)) * 0.7, 0, 1)
    ids = [f"6f1c3a52-9b1d-4c1e-8f55-{number:012d}" for number in range(rows)]
    with LogWriter(root) as writer:
        for day in range(DAYS):
            part = slice(A_DAY * day, A_DAY * (day + 1))
            batch = shadow_batch(
                list(champion[part]), list(shadow[part]),
                request_ids=ids[part], entity_ids=ids[part], at_us=AT_US + day * DAY_US,
            )  # fmt: skip
            assert writer.offer(batch)
        assert writer.offer(outcome_batch(list(labels), request_ids=ids))
    plan = Plan(
        threshold=0.5,
        other_thresholds=(0.3,),
        costs=Costs(1, 5),
        margins=Margins.of_sizes(Measure.AUC, {Measure.AUC: 0.02, Measure.RECALL: 0.05}),
        slices=("weekday",),
    )
    return page_of(compare(root, Question("fraud"), plan))


def run(folder: Path, page: str, *options: str) -> str:
    """Let Chromium load a page and act by `options`; return its output."""
    assert CHROMIUM is not None
    (folder / "page.html").write_text(page, encoding="utf-8")
    fixed = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'user'}"]
    words = [CHROMIUM, *fixed, *options, f"file://{folder / 'page.html'}"]
    done = subprocess.run(words, check=True, capture_output=True, text=True, timeout=280)
    return done.stdout


def framed(page: str, width: int) -> str:
    """Return the page in a frame, because a window is never as narrow as a phone."""
    frame = f'<iframe width="{width}" height="{HEIGHT}" style="border: 0" srcdoc="{escape(page)}">'
    return f"<!doctype html><body style='margin: 0'>{frame}</iframe></body>"


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_tables_and_figures_are_shown_without_a_sideways_scroll(
    page: str, tmp_path: Path, width: int
) -> None:
    assert probed(tmp_path, page, width) == (width, 0, FIGURES)


def test_the_page_of_arms_needs_no_sideways_scroll_on_a_phone(tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    seats = random.random(A_DAY) < 0.1
    with LogWriter(tmp_path / "logs") as writer:
        for day in range(2):
            ids = [f"6f1c3a52-9b1d-4c1e-8f55-{day:04}{number:08}" for number in range(A_DAY)]
            scores = random.random(A_DAY)
            batch = live(seats, scores, request_ids=ids, at_us=AT_US + day * DAY_US)
            assert writer.offer(batch)
            labels = (random.random(A_DAY) < scores).astype(np.float64)
            assert writer.offer(outcome_batch(list(labels), request_ids=ids))
    margins = Margins.of_sizes(Measure.AUC, {Measure.AUC: 0.02, Measure.RECALL: 0.05})
    plan = Plan(
        threshold=0.5,
        other_thresholds=(0.3,),
        costs=Costs(1, 5),
        margins=margins,
        slices=("date", "hour"),
    )
    page = arm_page_of(compare_live_arms(tmp_path / "logs", Question("fraud"), plan))

    assert probed(tmp_path, page, PHONE) == (PHONE, 0, 7)


def probed(folder: Path, page: str, width: int) -> tuple[int, ...]:
    """Return the width of a page, by how much it is wider than its window, and its figures."""
    content = page.replace("</body>", f"{PROBE}</body>")
    shown = run(folder, framed(content, width), "--window-size=1200,900", "--dump-dom")
    title = re.search(r"<title>(\d+) (\d+) (\d+)</title>", shown)
    assert title is not None
    return tuple(map(int, title.groups()))


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_an_image_of_the_page_is_not_blank(page: str, tmp_path: Path, width: int) -> None:
    sizes = []
    for name, content in (("page", page), ("blank", "")):
        image = tmp_path / f"{name}.png"
        size = f"--window-size={width},{HEIGHT}"
        run(tmp_path, framed(content, width), "--hide-scrollbars", size, f"--screenshot={image}")
        sizes.append(image.stat().st_size)

    assert sizes[0] > 10 * sizes[1]


def test_paper_has_the_queries_that_a_screen_folds(page: str, tmp_path: Path) -> None:
    pages = []
    without = re.sub(r"<details>.*?</details>", "", page, flags=re.DOTALL)
    for content in (page, without):
        file = tmp_path / "page.pdf"
        run(tmp_path, content, f"--print-to-pdf={file}")
        pages.append(len(re.findall(rb"/Type\s*/Page\b", file.read_bytes())))

    assert 0 < pages[1] < pages[0]
