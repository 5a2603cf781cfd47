"""The page of a run: its numbers, what it shows, and how it looks in a real browser."""

import re
import shutil

import pytest
from playwright.sync_api import sync_playwright

from t2ipal.report.comparison import compare
from t2ipal.report.gather import gather
from t2ipal.report.page import by_precision, comparison_page, duration, run_page
from t2ipal.run_files import METRICS
from tests.finished_images import NAMES
from tests.report.reading import assert_self_contained_and_accessible, read

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


@pytest.fixture(scope="module")
def page(finished):
    return run_page(gather(*finished))


@pytest.fixture(scope="module")
def pages(page, finished, other, unmeasured):
    return {
        "run": page,
        "unmeasured": run_page(gather(*unmeasured)),
        "comparison": comparison_page(compare(finished, other)),
    }


def test_numbers_are_those_of_metrics_json(page, finished):
    metrics, found = finished[1].read_json(METRICS), read(page)
    for name, figures in metrics["methods"].items():
        for key in ("CF1", "OF1"):
            assert found.number(f"{name}/{key}") == (figures[key], f"{figures[key]:.2f}")
        assert found.number(f"{name}/mAP") == (figures["mAP"]["mean"], f"{figures['mAP']['mean']:.2f}")
        assert found.number(f"{name}/top3/OF1")[0] == figures["top3"]["OF1"]
        # Zero-shot scores are calibrated too.
        assert found.number(f"{name}/ECE") == (figures["ECE"], f"{figures['ECE']:.4f}")
    tuned, zero = (metrics["methods"][name] for name in ("t2i_pal", "zero_shot"))
    for each in NAMES:
        ap, before = tuned["per_class"][each], zero["per_class"][each]
        assert found.number(f"t2i_pal/per_class/{each}") == (ap, f"{ap:.2f}")
        assert found.number(f"zero_shot/per_class/{each}") == (before, f"{before:.2f}")
        assert found.number(f"gain/{each}")[0] == pytest.approx(ap - before)
    gain = tuned["mAP"]["mean"] - zero["mAP"]["mean"]
    value, text = found.number("gain")
    assert value == pytest.approx(gain)
    assert text == f"{gain:+.2f}".replace("-", "\N{MINUS SIGN}")


def test_bars_are_as_long_as_the_precision(page, finished):
    metrics = finished[1].read_json(METRICS)
    widths = [each["style"] for each in read(page).all("div") if each.get("class") == "fill"]
    expected = sorted(metrics["methods"]["t2i_pal"]["per_class"].values(), reverse=True)
    assert widths[: len(NAMES)] == [f"width:{value:.2f}%" for value in expected]


def test_all_parts_are_there(page):
    found = read(page)
    titles = {"quality", "classes", "photos", "images", "captions", "tuning", "recipe"}
    assert titles <= {section.get("id") for section in found.all("section")}
    words = found.words()
    assert "a picture of a house" in words
    assert "rejected: test" in words  # refused by the painter
    assert "rejected: similarity to its caption is among the lowest 20 %" in words
    assert "glowing: " in words
    assert "images_per_class: null" in words  # of the recipe
    assert re.search(r"torch ?2\.", words)
    # For each class a curve and a histogram, three charts of all of them, one of the loss.
    assert len(found.all("svg")) == 2 * len(NAMES) + 4


@pytest.mark.parametrize("which", ["run", "unmeasured", "comparison"])
def test_it_is_one_file_with_words_for_everything(pages, which):
    assert_self_contained_and_accessible(pages[which])
    assert len(pages[which]) < 3_000_000


def test_a_run_without_photos_says_that_nothing_was_measured(pages):
    found = read(pages["unmeasured"])
    assert "Nothing was measured" in found.words()
    assert not {"quality", "classes", "photos"} & {each.get("id") for each in found.all("section")}
    assert {"images", "captions", "tuning"} <= {each.get("id") for each in found.all("section")}
    assert found.numbers == {}


def test_a_run_that_was_stopped_says_what_is_missing(painted):
    page = run_page(gather(*painted))
    found = read(page)
    assert "This run is not finished" in found.words()
    for stage in ("features", "tune", "evaluate", "bundle"):
        assert f"{stage}: " in found.words()
    assert {"images", "captions"} <= {each.get("id") for each in found.all("section")}
    assert_self_contained_and_accessible(page)


def test_what_a_caption_says_is_text(painted):
    recipe, store = painted
    shards = store.shards("captions")
    name, manifest = next(iter(shards.done().items()))
    table = shards.read(name)
    rows = [row | {"text": "<script>alert(1)</script>"} for row in table.to_pylist()]
    shards.write(name, table.from_pylist(rows, schema=table.schema), manifest.extra)
    assert not read(run_page(gather(recipe, store))).all("script")


def test_of_many_classes_the_best_and_the_worst_are_shown(finished):
    quality = gather(*finished).quality
    precision = quality.tuned.per_class
    assert [each.name for each in by_precision(quality, 3)] == sorted(NAMES, key=precision.get, reverse=True)
    best, worst = by_precision(quality, 2)
    assert precision[best.name] == max(precision.values())
    assert precision[worst.name] == min(precision.values())


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (9.5, "9.5 s"),
        (59.4, "59 s"),
        (60, "1 min 0 s"),
        (185, "3 min 5 s"),
        (7620, "2 h 7 min"),
    ],
)
def test_durations_as_people_say_them(seconds, text):
    assert duration(seconds) == text


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")
@pytest.mark.parametrize("which", ["run", "unmeasured", "comparison"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(390, 844), (1440, 900)])
def test_it_fits_the_screen_and_nothing_is_wrong(pages, browser, tmp_path, which, scheme, width, height):
    (file := tmp_path / "index.html").write_bytes(pages[which])
    said, asked = [], []
    shown = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
    shown.on("console", lambda message: said.append(message.text))
    shown.on("pageerror", lambda error: said.append(str(error)))
    shown.on("request", lambda request: asked.append(request.url))
    shown.goto(file.as_uri())
    shown.wait_for_load_state("networkidle")
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    # All pictures are decoded, and none is cut off by what it is in.
    assert (
        shown.evaluate(
            "Promise.all([...document.images].map((each) => each.decode().then(() => each.naturalWidth > 0)))"
        )
        == [True] * shown.locator("img").count()
    )
    wide = "(each) => each.getBoundingClientRect().right > innerWidth + 1"
    assert (
        shown.evaluate(f"[...document.querySelectorAll('svg, img, .card, pre, h1, p')].filter({wide}).length")
        == 0
    )
    assert contrast(shown) >= 4.5
    shown.close()
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [file.as_uri()]


def contrast(shown):
    """Of the faintest text and the page behind it, as WCAG computes it."""
    ink, paper = shown.evaluate(
        """() => [getComputedStyle(document.querySelector('.soft')).color,
                  getComputedStyle(document.body).backgroundColor]
                 .map((colour) => colour.match(/[\\d.]+/g).slice(0, 3).map(Number))"""
    )
    light, dark = sorted((luminance(ink), luminance(paper)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour):
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (each / 255 for each in colour)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
