"""The page, in a real browser: Chromium, driven by Playwright."""

import base64
import json
import re
import shlex
import shutil
import socket
import threading
import time

import httpx
import pytest
import uvicorn
from playwright.sync_api import expect, sync_playwright

from t2ipal.labelling.labeller import Labeller
from t2ipal.labelling.plan import Labelling
from tests.serve.here import paths, served
from tests.serve.http import noise, png

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# What Chromium would look for on the network, which is none of a test's business.
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def url(bundle, no_ray):
    api, _ = paths(served(bundle))
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(api, log_level="warning"))
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        server.should_exit = True
        thread.join()


@pytest.fixture(params=[(390, 844), (1440, 900)], ids=["phone", "desktop"])
def page(browser, url, request):
    """The page on a screen of this size. Nothing may be wrong on its console when the test ends."""
    width, height = request.param
    page = browser.new_page(viewport={"width": width, "height": height})
    said = []
    page.on(
        "console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None
    )
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(url)
    page.wait_for_load_state("networkidle")
    yield page
    page.close()
    assert [text for text in said if "422" not in text] == []  # the browser itself tells of refused images


def picture(seed=0, name="photo.png"):
    return {"name": name, "mimeType": "image/png", "buffer": png(noise(seed, 64))}


def settled(page):
    """Wait for the endpoint's answer, whatever it is."""
    expect(page.locator("#state")).to_have_text(re.compile("^(It shows|None of|The endpoint|.*status)"))


def choose(page, file):
    page.set_input_files("#file", file)
    settled(page)


def test_an_image_is_chosen_and_its_labels_are_seen(page, recognizer):
    choose(page, picture())
    (expected,) = recognizer.predict([noise(0, 64)])
    found = page.locator("#labels .name > span:first-child").all_inner_texts()
    assert found == [label.name for label in expected.labels]
    assert "It shows: " + ", ".join(found) in page.inner_text("#state")
    share = page.locator("#labels .fill").first.evaluate("bar => bar.style.width")
    assert float(share.rstrip("%")) == pytest.approx(100 * expected.labels[0].score, abs=0.01)
    assert page.locator("#labels .limit").count() == len(found)
    page.click("#others summary")
    assert page.locator("#scores .name").count() == 3
    # It fits: nothing is wider than the screen.
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_a_label_shows_its_heatmap_by_mouse_and_by_keyboard(page):
    choose(page, picture())
    first = page.locator("#labels button").first
    overlay = page.locator("#overlay")
    assert overlay.is_hidden()
    first.hover()
    overlay.wait_for(state="visible")
    image, over = (page.locator(each).bounding_box() for each in ("#image", "#overlay"))
    assert over == pytest.approx(image)
    page.mouse.move(0, 0)
    overlay.wait_for(state="hidden")
    first.focus()
    page.keyboard.press("Enter")
    overlay.wait_for(state="visible")
    assert first.get_attribute("aria-pressed") == "true"
    assert "show where it is" in first.get_attribute("aria-label")
    page.keyboard.press("Enter")
    overlay.wait_for(state="hidden")


def test_an_image_is_dropped_and_another_is_pasted(page):
    for event, field in (("drop", "dataTransfer"), ("paste", "clipboardData")):
        page.evaluate(
            """([event, field, data]) => {
                const bytes = Uint8Array.from(atob(data), (each) => each.charCodeAt(0));
                const held = new DataTransfer();
                held.items.add(new File([bytes], "photo.png", {type: "image/png"}));
                const how = {[field]: held, bubbles: true, cancelable: true};
                const made = event === "drop" ? new DragEvent(event, how) : new ClipboardEvent(event, how);
                document.body.dispatchEvent(made);
            }""",
            [event, field, base64.b64encode(png(noise(1))).decode()],
        )
        settled(page)
        assert page.locator("#scores li").count() == 3
        page.evaluate("document.querySelector('#scores').replaceChildren()")


def test_names_are_looked_for_that_were_never_tuned(page):
    choose(page, picture())
    page.fill("#names", "teddy bear, red fish")
    page.locator("#names").blur()
    expect(page.locator("#scores li")).to_have_count(5)


def test_the_command_gives_the_same_answer(page, url):
    choose(page, picture())
    words = shlex.split(page.text_content("#curl"))
    assert words[:3] == ["curl", "--data-binary", "@photo.png"]
    kind = words[words.index("-H") + 1].split(": ")
    response = httpx.post(words[-1], content=png(noise(0, 64)), headers=[kind])
    assert response.status_code == 200
    assert words[-1].startswith(f"{url}v1/recognize")
    shown = page.text_content("#json")
    assert f'"version": "{response.json()["version"]}"' in shown


def test_page_endpoint_and_labels_of_a_folder_are_the_same(page, url, bundle, recognizer, tmp_path):
    names = [f"{seed}.png" for seed in range(3)]
    for seed, name in enumerate(names):
        (tmp_path / name).write_bytes(png(noise(seed, 64)))
    version, classes = recognizer.version, recognizer.classes
    settings = Labelling(images=str(tmp_path), version=version, at_once=1, classes=classes)
    rows = Labeller(settings, bundle, "cpu")(names).to_pylist()
    for seed, row in enumerate(rows):
        choose(page, picture(seed))
        data, kind = png(noise(seed, 64)), {"Content-Type": "image/png"}
        (said,) = httpx.post(f"{url}v1/recognize?scores=1", content=data, headers=kind).json()["results"]
        (shown,) = json.loads(page.text_content("#json"))["results"]
        assert list(shown["scores"].values()) == list(said["scores"].values()) == row["scores"]
        labels = [[(each["name"], each["score"]) for each in found["labels"]] for found in (shown, said, row)]
        assert labels[0] == labels[1] == labels[2]


def test_what_is_wrong_is_told(page):
    choose(page, {"name": "broken.png", "mimeType": "image/png", "buffer": png(noise(0))[:500]})
    assert re.search(r"damaged.*status 422", page.inner_text("#state"))
    choose(page, picture())
    assert "It shows" in page.inner_text("#state")


def test_everything_can_be_reached_by_keyboard(page):
    choose(page, picture())
    reached = set()
    for _ in range(25):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.className"))
    assert {"again", "names", "label", "copy", "curl"} <= reached


def test_a_key_is_asked_for_where_one_is_needed(browser, bundle, tmp_path, no_ray):
    import hashlib

    file = tmp_path / "keys"
    file.write_text(f"me:{hashlib.sha256(b'secret').hexdigest()}")
    api, _ = paths(served(bundle, keys={"file": str(file)}))
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(api, log_level="warning"))
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{listening.getsockname()[1]}/")
        page.locator("#key").wait_for(state="visible")
        page.fill("#key", "secret")
        page.locator("#key").blur()
        choose(page, picture())
        assert "It shows" in page.inner_text("#state")
        assert "secret" not in page.inner_text("#curl")
        page.close()
        server.should_exit = True
        thread.join()
