"""The page in a browser: tables sort, pictures filter, dark is dark, the map answers, nothing goes wrong."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.reports import CLASSES, page_of

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Return a headless Chromium, or skip where there is none."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="no selenium: pip install selenium")
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    program = shutil.which("chromedriver")
    if browser is None or program is None:
        pytest.skip("no browser: install chromium and chromium-driver")
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = browser
    # In a container there is neither a sandbox nor much shared memory.
    for word in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(word)
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('browser')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with pytest.MonkeyPatch.context() as patch:
        allow_loopback(patch)
        driver = webdriver.Chrome(options=options, service=Service(program))
        yield driver
        driver.quit()


def allow_loopback(patch: pytest.MonkeyPatch) -> None:
    """Let this process talk to the browser's driver, and to nothing off this machine."""
    import socket

    guarded = socket.socket.connect
    plain = socket.SocketType.connect

    def connect(self: socket.socket, address: Any) -> None:
        if isinstance(address, tuple) and address[0] in ("127.0.0.1", "::1", "localhost"):
            return plain(self, address)
        return guarded(self, address)

    patch.setattr(socket.socket, "connect", connect)


@pytest.fixture
def opened(driver: Any, reported: Path) -> Any:
    """Return the browser with the page open, anew."""
    driver.set_window_size(1200, 900)
    driver.get(page_of(reported).as_uri())
    return driver


@pytest.fixture(autouse=True)
def without_a_complaint(driver: Any) -> Iterator[None]:
    """See to it that the browser had nothing to say: no error, nothing refused by the page's policy."""
    yield
    assert driver.get_log("browser") == []


def find(driver: Any, selector: str) -> list[Any]:
    from selenium.webdriver.common.by import By

    return list(driver.find_elements(By.CSS_SELECTOR, selector))


def column(driver: Any, number: int) -> list[str]:
    rows = find(driver, f"#runs + div table tbody:first-of-type tr > :nth-child({number})")
    return [cell.get_attribute("data-value") for cell in rows]


def test_no_name_became_code_or_markup(opened: Any) -> None:
    assert opened.title == "Heads on table"
    assert find(opened, "img[src='x'], img[onerror]") == []
    shown = {option.text for option in find(opened, "#filter select[name=truth] option")}
    assert {" ".join(name.split()) for name in CLASSES} <= shown


def test_the_table_sorts_both_ways(opened: Any) -> None:
    (button,) = [each for each in find(opened, "#runs + div th button") if each.text == "log loss"]
    head = button.find_element("xpath", "..")
    number = opened.execute_script("return arguments[0].cellIndex", head) + 1
    before = column(opened, number)
    for order, expected in (("ascending", sorted(before, key=float)), ("descending", sorted(before, key=float)[::-1])):
        button.click()
        assert head.get_attribute("aria-sort") == order
        assert column(opened, number) == expected
    assert len(set(before)) > 1


def test_pictures_are_filtered_by_class_and_by_result(opened: Any) -> None:
    from selenium.webdriver.support.select import Select

    every = find(opened, ".shot")
    Select(find(opened, "select[name=result]")[0]).select_by_value("wrong")
    left = [shot for shot in every if shot.is_displayed()]
    assert 0 < len(left) < len(every)
    assert all("wrong" in shot.get_attribute("class") for shot in left)
    truth = left[0].get_attribute("data-truth")
    Select(find(opened, "select[name=truth]")[0]).select_by_value(truth)
    left = [shot for shot in left if shot.is_displayed()]
    assert {shot.get_attribute("data-truth") for shot in left} == {truth}
    assert find(opened, "output")[0].text == f"{len(left)} of {len(every)} shown"


def test_dark_is_dark_and_light_again(opened: Any) -> None:
    def brightness() -> float:
        colour = opened.execute_script("return getComputedStyle(document.body).backgroundColor")
        return sum(int(part) for part in colour[4:-1].split(",")) / 3

    (button,) = find(opened, ".theme")
    assert brightness() > 200
    button.click()
    assert brightness() < 60
    assert button.get_attribute("aria-pressed") == "true"
    button.click()
    assert brightness() > 200


def test_the_map_shows_the_picture_that_is_pointed_at_or_moved_to(opened: Any) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    (plane,) = find(opened, ".plane")
    opened.execute_script("arguments[0].scrollIntoView({block: 'center'})", plane)
    ActionChains(opened).move_to_element(find(opened, ".plane use")[0]).perform()
    (image,) = find(opened, ".tip img")
    assert image.get_attribute("src").startswith("data:image/jpeg;base64,")
    assert opened.execute_script("return arguments[0].naturalWidth", image) > 0
    told = {find(opened, ".tip")[0].text}
    for arrow in (Keys.ARROW_RIGHT, Keys.ARROW_DOWN, Keys.ARROW_LEFT, Keys.ARROW_UP):
        plane.send_keys(arrow)
        told.add(find(opened, ".tip")[0].text)
    assert len(told) > 2
    before = [mark.get_attribute("x") for mark in find(opened, ".plane use")]
    (linear,) = find(opened, "input[value=linear]")
    opened.execute_script("arguments[0].scrollIntoView({block: 'center'})", linear)
    linear.click()
    assert [mark.get_attribute("x") for mark in find(opened, ".plane use")] != before


@pytest.mark.parametrize("width", [360, 1200])
def test_nothing_makes_the_page_wider_than_the_screen(opened: Any, width: int) -> None:
    opened.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    )
    assert opened.execute_script("return document.documentElement.scrollWidth") <= width
    opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_text_stands_out_from_its_ground_in_both_themes(opened: Any) -> None:
    (button,) = find(opened, ".theme")
    for _ in range(2):
        assert opened.execute_script(CONTRASTS) == []
        button.click()


CONTRASTS = """
const channels = (text) => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  canvas.fillStyle = text;
  canvas.fillRect(0, 0, 1, 1);
  return [...canvas.getImageData(0, 0, 1, 1).data];
};
const luminance = (rgb) => rgb.slice(0, 3)
  .map((value) => value / 255)
  .map((value) => (value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
  .reduce((sum, value, index) => sum + value * [0.2126, 0.7152, 0.0722][index], 0);
const ground = (element) => {
  for (let each = element; each; each = each.parentElement) {
    const colour = channels(getComputedStyle(each).backgroundColor);
    if (colour[3] === 255) return colour;
  }
  return [255, 255, 255, 255];
};
const poor = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement;
  const text = walker.currentNode.data.trim();
  if (!text || !element.checkVisibility() || element.closest("script, .hidden, title")) continue;
  const style = getComputedStyle(element);
  const ink = luminance(channels(element.namespaceURI.endsWith("svg") ? style.fill : style.color));
  const paper = luminance(ground(element));
  const contrast = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
  if (contrast < 4.5) poor.push([text.slice(0, 40), element.className, contrast.toFixed(2)]);
}
return poor;
"""
"""WCAG 2.1, 1.4.3: text of less than 4.5 to 1."""
