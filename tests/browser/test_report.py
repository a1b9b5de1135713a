"""The report in headless Chromium: light and dark, wide and narrow, by mouse, finger and keyboard."""

import pytest

from bias_folder import CAUTIONS, make_bias_folder
from msma.reporting import write_report
from msma.reporting.clouds import shorten
from robustness_folder import CAUTIONS as ROBUSTNESS_CAUTIONS
from robustness_folder import make_robustness_folder
from study_folder import HOSTILE, make_study_folder

pytest.importorskip("selenium.webdriver", reason="selenium is not installed: pip install selenium")
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

pytestmark = pytest.mark.browser

#: Smallest contrast of text with what is behind it (WCAG 2.2, level AA).
CONTRAST = 4.5


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    return write_report(make_study_folder(tmp_path_factory.mktemp("study")))


@pytest.fixture(scope="module")
def bias_report(tmp_path_factory):
    folder = make_study_folder(tmp_path_factory.mktemp("study"))
    make_bias_folder(folder / "bias")
    return write_report(folder)


@pytest.fixture(scope="module")
def robustness_report(tmp_path_factory):
    folder = make_study_folder(tmp_path_factory.mktemp("study"))
    make_robustness_folder(folder / "robustness")
    return write_report(folder)


@pytest.fixture
def show(browser, report):
    """Open the report at a width and colour scheme; afterwards the console must be empty."""

    def open_at(width=1280, scheme="light"):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        browser.get(report.as_uri())
        return browser

    yield open_at
    assert browser.get_log("browser") == []


@pytest.mark.parametrize("width", [320, 375, 768, 1280, 1920])
def test_the_page_never_scrolls_sideways(show, width):
    page = show(width)
    for details in page.find_elements(By.TAG_NAME, "details"):
        page.execute_script("arguments[0].open = true", details)
    assert page.execute_script("return document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [375, 768, 1280])
def test_text_in_figures_is_at_least_ten_pixels(show, width):
    script = """
      return Array.from(document.querySelectorAll('.drawing svg text'))
        .filter(text => text.getBoundingClientRect().width > 0)
        .map(text => {
          const matrix = text.getScreenCTM();
          return parseFloat(getComputedStyle(text).fontSize) * Math.hypot(matrix.a, matrix.b);
        })
    """
    sizes = show(width).execute_script(script)
    assert len(sizes) > 100
    assert min(sizes) >= 10


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_what_is_behind_it(show, scheme):
    script = """
      const luminance = (colour) => {
        const [r, g, b] = colour.match(/[\\d.]+/g).map(Number).map(v => v / 255)
          .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      const behind = (element) => {
        for (let e = element; e; e = e.parentElement) {
          const colour = getComputedStyle(e).backgroundColor;
          if (!colour.startsWith('rgba(0, 0, 0, 0')) return colour;
        }
      };
      const poor = [];
      for (const element of document.querySelectorAll('body *')) {
        if (element.closest('script, style, svg') && element.tagName !== 'text') continue;
        const own = Array.from(element.childNodes).some(n => n.nodeType === 3 && n.textContent.trim());
        if (!own || !element.getClientRects().length) continue;
        const style = getComputedStyle(element);
        const text = luminance(element.tagName === 'text' ? style.fill : style.color);
        const back = luminance(behind(element));
        const ratio = (Math.max(text, back) + 0.05) / (Math.min(text, back) + 0.05);
        if (ratio < arguments[0]) poor.push([element.textContent.slice(0, 40), ratio]);
      }
      return poor
    """
    assert show(1280, scheme).execute_script(script, CONTRAST) == []


def test_dark_and_light_differ_and_print_is_light(show):
    colour = "return getComputedStyle(document.body).backgroundColor"
    light = show(1280, "light").execute_script(colour)
    page = show(1280, "dark")
    assert page.execute_script(colour) != light
    features = [{"name": "prefers-color-scheme", "value": "dark"}]
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": features})
    assert page.execute_script(colour) == light
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_nothing_is_fetched_and_no_text_becomes_code(show):
    page = show()
    assert page.execute_script("return performance.getEntriesByType('resource').length") == 0
    assert page.title == "gpt2 at three scales – MSMA report"
    assert page.find_elements(By.TAG_NAME, "b") == []


def test_the_keyboard_walks_through_the_texts(show):
    page = show()
    frame = page.find_elements(By.CSS_SELECTOR, "#cloud .frame")[1]
    frame.send_keys(Keys.HOME)
    first = frame.get_attribute("aria-valuetext")
    assert frame.get_attribute("aria-valuenow") == "1"
    frame.send_keys(Keys.ARROW_RIGHT)
    assert frame.get_attribute("aria-valuenow") == "2"
    assert frame.get_attribute("aria-valuetext") != first
    frame.send_keys(Keys.END)
    assert frame.get_attribute("aria-valuenow") == frame.get_attribute("aria-valuemax") == "240"
    frame.send_keys(Keys.ARROW_RIGHT)
    assert frame.get_attribute("aria-valuenow") == "240"
    reader = page.find_element(By.ID, "cloud-reader").text
    assert reader.splitlines()[0] in frame.get_attribute("aria-valuetext")
    marks = page.find_elements(By.CSS_SELECTOR, "#cloud .chosen .goal")
    assert len(marks) == 3
    assert all(mark.is_displayed() for mark in marks)
    frame.send_keys(Keys.ESCAPE)
    assert "Point at a text" in page.find_element(By.ID, "cloud-reader").text
    assert not any(mark.is_displayed() for mark in marks)


def _first_point(page):
    frame = page.find_element(By.CSS_SELECTOR, "#cloud .frame")
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", frame)
    script = """
      const box = arguments[0].querySelector('.points use').getBoundingClientRect();
      return [box.x + box.width / 2, box.y + box.height / 2]
    """
    return frame, page.execute_script(script, frame)


def test_the_mouse_shows_a_text_as_text(show):
    page = show()
    frame, (x, y) = _first_point(page)
    box = page.execute_script(
        "const b = arguments[0].getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]",
        frame,
    )
    ActionChains(page).move_to_element_with_offset(frame, round(x - box[0]), round(y - box[1])).perform()
    shown = page.find_element(By.CSS_SELECTOR, "#cloud-reader .text").text
    assert shown == shorten(HOSTILE[0])
    assert "topic: law" in page.find_element(By.ID, "cloud-reader").text


def test_a_finger_shows_a_text_and_it_stays(show):
    page = show(375)
    _, (x, y) = _first_point(page)
    touch = {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]}
    page.execute_cdp_cmd("Input.dispatchTouchEvent", touch)
    page.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert page.find_element(By.CSS_SELECTOR, "#cloud-reader .text").text == shorten(HOSTILE[0])


def test_colours_follow_the_label_chosen(show):
    page = show()
    legend = page.find_element(By.ID, "cloud-legend")
    assert "astronomy" in legend.text
    page.execute_script(
        "const s = document.getElementById('cloud-grouping'); s.value = '-1'; s.dispatchEvent(new Event('change'))"
    )
    assert legend.text == ""
    scales = page.find_elements(By.CSS_SELECTOR, "#cloud use.scale-global")
    assert len(scales) == 240
    assert scales[0].get_attribute("href") == "#mark-0"
    page.execute_script(
        "const s = document.getElementById('cloud-grouping'); s.value = '1'; s.dispatchEvent(new Event('change'))"
    )
    assert "up to" in legend.text


def test_mapped_positions_are_joined_to_their_targets(show):
    page = show()
    assert page.find_elements(By.CSS_SELECTOR, "#cloud .steps line") == []
    page.find_element(By.ID, "cloud-mapped").click()
    assert len(page.find_elements(By.CSS_SELECTOR, "#cloud .steps line")) == 480


@pytest.mark.parametrize(("width", "scheme"), [(320, "light"), (375, "dark"), (768, "light"), (1280, "dark")])
@pytest.mark.parametrize(("name", "cautions"), [("bias", CAUTIONS), ("robustness", ROBUSTNESS_CAUTIONS)])
def test_an_audit_is_readable_at_every_width(browser, request, name, cautions, width, scheme):
    audited = request.getfixturevalue(f"{name}_report")
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(audited.as_uri())
    for details in browser.find_elements(By.CSS_SELECTOR, f"#{name} details"):
        browser.execute_script("arguments[0].open = true", details)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    section = browser.find_element(By.ID, name)
    assert section.find_elements(By.TAG_NAME, "b") == []
    for caution in cautions:
        [shown] = [item for item in section.find_elements(By.TAG_NAME, "li") if item.text == caution]
        assert shown.is_displayed()
    # Every text of a figure lies within its drawing and can be read; every table that is too wide scrolls by itself.
    script = """
      const bad = [];
      for (const svg of arguments[0].querySelectorAll('.drawing svg')) {
        const frame = svg.getBoundingClientRect();
        for (const text of svg.querySelectorAll('text')) {
          const box = text.getBoundingClientRect();
          if (box.width === 0) continue;
          const matrix = text.getScreenCTM();
          const size = parseFloat(getComputedStyle(text).fontSize) * Math.hypot(matrix.a, matrix.b);
          const across = Math.max(frame.left - box.left, box.right - frame.right);
          const out = Math.max(across, frame.top - box.top, box.bottom - frame.bottom);
          if (out > 2 || (arguments[1] >= 375 && size < 10)) bad.push([text.textContent, out, size]);
        }
      }
      for (const table of arguments[0].querySelectorAll('table'))
        if (!table.closest('.scroll')) bad.push([table.textContent.slice(0, 40), 0, 0]);
      return bad
    """
    assert browser.execute_script(script, section, width) == []
    assert browser.get_log("browser") == []
