"""The explorer in headless Chromium: by keyboard, by finger, wide and narrow, light and dark, on a tiny decoder."""

import pytest

from accessibility import SCHEMES, find_violations, open_details, open_page
from explorer_fakes import FakeExplainer, make_encoder, make_writer, served

pytest.importorskip("selenium.webdriver", reason="selenium is not installed: pip install selenium")
pytest.importorskip("starlette", reason="the explorer needs: pip install 'msma[explore]'")

from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait
from transformers import BertForMaskedLM, BertModel

from msma.explorer import make_app

pytestmark = pytest.mark.browser

TEXT = "The river rose in spring 🐙, and no one saw it. The old boat slept under the bridge! Snow fell."
#: Smallest contrast of text with what is behind it (WCAG 2.2, level AA).
CONTRAST = 4.5


@pytest.fixture(scope="module")
def explainer(tmp_path_factory):
    return FakeExplainer(tmp_path_factory.mktemp("explored") / "study")


@pytest.fixture(scope="module")
def address(explainer):
    with served(make_app(explainer)) as address:
        yield address


@pytest.fixture
def show(browser, address):
    """Open the page and wait for its first text; afterwards the console holds what is allowed and nothing else."""
    allowed = []

    def open_at(width=1280, scheme="light", *, may_fail=False):
        allowed.append(may_fail)
        open_page(browser, address, width=width, scheme=scheme)
        wait_for(browser, "status", "explained in")
        return browser

    yield open_at
    messages = browser.get_log("browser")
    if any(allowed):  # Chromium notes every refusal
        messages = [m for m in messages if "the server responded with a status of 400" not in m["message"]]
    assert messages == []


def wait_for(page, name, words):
    WebDriverWait(page, 30).until(lambda page: words in page.find_element(By.ID, name).text)


def explain(page, text):
    box = page.find_element(By.ID, "text")
    page.execute_script("arguments[0].value = arguments[1]", box, text)
    page.execute_script("document.getElementById('status').textContent = ''")
    box.send_keys(Keys.CONTROL, Keys.ENTER)


def tokens(page):
    return page.find_elements(By.CSS_SELECTOR, "#token-list .token")


def focused(page):
    return page.switch_to.active_element


def choose(page, group, value):
    page.find_element(By.CSS_SELECTOR, f"#{group} input[value='{value}']").click()


def compare(page):
    page.execute_script("document.getElementById('act-status').textContent = ''")
    page.find_element(By.ID, "act-button").click()
    wait_for(page, "act-status", "Done in")


def test_a_typed_text_is_explained_by_the_keyboard_alone(show, explainer):
    page = show()
    box = page.find_element(By.ID, "text")
    box.clear()
    # chromedriver types no character beyond the basic plane
    box.send_keys("The sea rose. No boat came!", Keys.CONTROL, Keys.ENTER)
    wait_for(page, "status", "8 tokens in 2 sentences")
    assert explainer.calls[-1][0] == "The sea rose. No boat came!"
    assert [token.text for token in tokens(page)] == ["The", "sea", "rose", ".", "No", "boat", "came", "!"]
    assert page.find_element(By.ID, "token-list").text == "The sea rose. No boat came!"
    assert page.find_element(By.ID, "pick").get_attribute("value") == ""


def test_tokens_are_coloured_underlined_and_read_out(show):
    page = show()
    explain(page, TEXT)
    wait_for(page, "status", "24 tokens in 3 sentences")
    shown = tokens(page)
    assert shown[5].text == "🐙"
    assert page.find_element(By.ID, "token-list").text == TEXT
    styles = page.execute_script(
        """return Array.from(document.querySelectorAll('#token-list .token')).map(token => {
          const style = getComputedStyle(token);
          return [token.getAttribute('aria-label'), style.backgroundColor, style.textDecorationStyle,
                  style.textDecorationLine, token.className];
        })"""
    )
    assert len({style[1] for style in styles}) > 4
    for label, _, kind, line, name in styles:
        if name.endswith("level-4"):
            assert line == "none"
        else:
            assert line == "underline"
            assert kind == ("dashed" if "−" in label else "solid")
    open_details(page)
    WebDriverWait(page, 10).until(
        lambda p: len(p.find_elements(By.CSS_SELECTOR, "#token-table tbody tr")) == 24
    )
    row = page.find_elements(By.CSS_SELECTOR, "#token-table tbody tr")[0].text
    assert row.startswith("The 1 ")


def test_arrow_keys_walk_through_the_tokens(show):
    page = show()
    explain(page, TEXT)
    wait_for(page, "status", "24 tokens")
    stops = page.find_elements(By.CSS_SELECTOR, "#token-list .token[tabindex='0']")
    assert len(stops) == 1
    # From the last radio button of the methods the tab key leads to the one stop of the list.
    page.find_element(By.CSS_SELECTOR, "#token-method input:checked").send_keys(Keys.TAB)
    assert focused(page).text == "The"
    focused(page).send_keys(Keys.ARROW_RIGHT)
    assert focused(page).text == "river"
    assert focused(page).get_attribute("aria-selected") == "true"
    assert "river:" in focused(page).get_attribute("aria-label")
    reader = page.find_element(By.ID, "token-reader")
    assert reader.text.startswith("river ")
    assert "Token 2 of 24, sentence 1." in reader.text
    focused(page).send_keys(Keys.END)
    focused(page).send_keys(Keys.ARROW_RIGHT)
    assert "Token 24 of 24, sentence 3." in reader.text
    focused(page).send_keys(Keys.HOME)
    focused(page).send_keys(Keys.PAGE_DOWN)
    assert "Token 11 of 24" in reader.text
    outline = page.execute_script("return getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    focused(page).send_keys(Keys.TAB)
    assert focused(page).get_attribute("class") != "token"


def test_another_scale_and_method_show_other_scores(show):
    page = show()
    explain(page, TEXT)
    wait_for(page, "status", "24 tokens")
    seen = set()
    for scale in ("local", "intermediate", "global"):
        for method in ("occlusion", "gradient"):
            choose(page, "token-scale", scale)
            choose(page, "token-method", method)
            assert f"at the {scale} scale" in page.find_element(By.ID, "token-coordinate").text
            wait_for(page, "token-faith", "deleting as many at random")
            seen.add(tuple(token.get_attribute("aria-label") for token in tokens(page)[:4]))
    assert len(seen) == 6


def is_unchecked(page):
    return "is-unchecked" in page.find_element(By.ID, "token-list").get_attribute("class")


def test_scores_are_shown_as_unchecked_until_the_check_is_there(show, explainer):
    page = show()
    choose(page, "token-scale", "global")
    explain(page, "A slow slow slow boat came home.")
    wait_for(page, "status", "8 tokens")
    check, faith = (page.find_element(By.ID, name) for name in ("token-check", "token-faith"))
    assert check.get_attribute("role") == "status"
    assert check.text.startswith("Being checked")
    assert faith.text == ""
    assert is_unchecked(page)
    scores = [token.get_attribute("aria-label") for token in tokens(page)]
    assert len(page.find_elements(By.CSS_SELECTOR, "#place-cards > li")) == 3
    choose(page, "token-scale", "local")  # another scale is no more checked than the first
    assert check.text.startswith("Being checked")
    wait_for(page, "token-check", "not shown to do better than chance")
    assert is_unchecked(page)
    choose(page, "token-scale", "global")
    assert check.text == "Checked: these scores hold."
    assert "deleting as many at random" in faith.text
    assert not is_unchecked(page)
    assert [token.get_attribute("aria-label") for token in tokens(page)] == scores
    assert explainer.checks[-1] == "A slow slow slow boat came home."


def test_a_newer_question_ends_an_older_check(show, explainer):
    page = show()
    explain(page, "A slow slow slow dog slept.")
    wait_for(page, "status", "7 tokens")
    explain(page, "A bird sang again.")
    assert "A slow slow slow dog slept." not in explainer.checks
    wait_for(page, "status", "5 tokens")
    wait_for(page, "token-check", "Checked")
    assert page.find_element(By.ID, "token-list").text == "A bird sang again."
    page.execute_async_script("setTimeout(arguments[0], 3500)")
    assert "A slow slow slow dog slept." not in explainer.checks


def test_a_late_check_of_an_older_text_is_not_shown(show):
    page = show()
    page.execute_script(
        """const own = window.fetch;
        window.fetch = (path, options) => {
          const isOld = path === 'api/check' && options.body.includes('older');
          const answer = own(path, {...options, signal: undefined});
          return isOld ? new Promise((done) => setTimeout(() => done(answer), 600)) : answer;
        };"""
    )
    explain(page, "An older boat.")
    wait_for(page, "status", "4 tokens")
    explain(page, "A slow slow slow slow boat.")  # its own check takes longer than the older one's answer
    wait_for(page, "status", "7 tokens")
    page.execute_async_script("setTimeout(arguments[0], 700)")
    assert page.find_element(By.ID, "token-check").text.startswith("Being checked")
    wait_for(page, "token-check", "Checked")


def test_a_check_given_up_for_a_question_that_is_refused_says_so(show):
    page = show(may_fail=True)
    explain(page, "A slow slow slow dog.")
    wait_for(page, "status", "6 tokens")
    explain(page, "unreadable")
    alert = page.find_element(By.ID, "alert")
    WebDriverWait(page, 10).until(lambda _: alert.is_displayed())
    assert page.find_element(By.ID, "token-list").text == "A slow slow slow dog."
    wait_for(page, "token-check", "another question came before the check was done")
    assert is_unchecked(page)


def test_a_check_that_fails_is_told_in_its_place_and_leaves_the_rest(show):
    page = show(may_fail=True)
    explain(page, "An uncheckable boat.")
    wait_for(page, "status", "4 tokens")
    wait_for(page, "token-check", "whose tokens cannot be taken out; give another")
    assert "Not checked, so do not rely on the colours" in page.find_element(By.ID, "token-check").text
    assert not page.find_element(By.ID, "alert").is_displayed()
    assert is_unchecked(page)
    assert page.find_element(By.ID, "token-faith").text == ""
    assert [token.text for token in tokens(page)] == ["An", "uncheckable", "boat", "."]
    assert len(page.find_elements(By.CSS_SELECTOR, ".decoded")) == 6


def test_another_direction_asks_anew(show, explainer):
    page = show()
    page.execute_script("document.getElementById('status').textContent = ''")
    Select(page.find_element(By.ID, "direction")).select_by_value("topic=sea")
    wait_for(page, "token-coordinate", "“topic=sea”")
    assert explainer.calls[-1][1] == "topic=sea"


def test_a_text_is_found_and_picked(show, explainer):
    page = show()
    page.find_element(By.ID, "filter").send_keys("LAW")
    pick = Select(page.find_element(By.ID, "pick"))
    assert pick.options[0].text == "10 texts…"
    page.execute_script("document.getElementById('status').textContent = ''")
    pick.select_by_index(3)
    wait_for(page, "status", "explained in")
    assert page.find_element(By.ID, "text").get_attribute("value") == explainer.calls[-1][0]
    assert "(law)" in pick.first_selected_option.text


def test_cards_clouds_words_and_departures_are_there(show):
    page = show()
    explain(page, TEXT)
    wait_for(page, "status", "24 tokens")
    cards = page.find_elements(By.CSS_SELECTOR, "#place-cards > li")
    assert [card.find_element(By.TAG_NAME, "h3").text for card in cards] == [
        "local",
        "intermediate",
        "global",
    ]
    assert all("of validation texts lie at least as far" in card.text for card in cards)
    assert all("60 % of the nearest, 33 % of all texts" in card.text for card in cards)
    panels = page.find_elements(By.CSS_SELECTOR, "#cloud-panels svg")
    assert len(panels) == 3
    assert all(len(panel.find_elements(By.CSS_SELECTOR, ".points use")) == 90 for panel in panels)
    assert all(panel.find_element(By.CSS_SELECTOR, ".here").is_displayed() for panel in panels)
    assert "this text ringed at" in panels[0].get_attribute("aria-label")
    assert len(page.find_elements(By.CSS_SELECTOR, "#cloud-panels .mapped circle")) == 180
    page.find_element(By.ID, "cloud-mapped").click()
    assert page.find_elements(By.CSS_SELECTOR, "#cloud-panels .mapped circle") == []
    assert "sea" in page.find_element(By.ID, "cloud-legend").text
    Select(page.find_element(By.ID, "cloud-grouping")).select_by_visible_text("scale")
    assert len(page.find_elements(By.CSS_SELECTOR, "#cloud-panels use.scale-global")) == 90
    assert len(page.find_elements(By.CSS_SELECTOR, ".decoded")) == 6
    sentences = page.find_elements(By.CSS_SELECTOR, "#departure-text .sentence")
    assert [s.text for s in sentences] == [
        "The river rose in spring 🐙, and no one saw it.",
        "The old boat slept under the bridge!",
        "Snow fell.",
    ]
    assert page.find_element(By.ID, "departure-text").text.count("p =") == 3


def test_an_intervention_stands_beside_the_clean_text(show):
    page = show()
    prompt = page.find_element(By.ID, "prompt")
    prompt.clear()
    prompt.send_keys("the river rose")
    choose(page, "act-operation", "scale")
    slider = page.find_element(By.ID, "strength")
    slider.send_keys(Keys.HOME)
    assert page.find_element(By.ID, "strength-value").text == "times 0.10"
    assert slider.get_attribute("aria-valuetext") == "times 0.10"
    compare(page)
    articles = page.find_elements(By.CSS_SELECTOR, "#act-result article")
    assert [a.find_element(By.TAG_NAME, "h3").text for a in articles] == ["Clean", "global: times 0.10"]
    clean, changed = (a.find_element(By.CLASS_NAME, "written").text for a in articles)
    assert clean.startswith("the river rose")
    assert changed.startswith("the river rose")
    assert clean != changed
    assert articles[1].find_elements(By.TAG_NAME, "mark")
    words = page.find_element(By.ID, "act-words").text
    assert "changed by 0.900 of their norm" in words
    assert "The two texts part after" in words
    # A step of the slider is enough: the newest setting is asked for by itself.
    page.execute_script(
        "const s = document.getElementById('strength'); s.value = 0; s.dispatchEvent(new Event('input')); "
        "s.dispatchEvent(new Event('change'))"
    )
    wait_for(page, "act-words", "The two texts are the same.")
    clean, changed = (
        a.text.partition("\n")[2] for a in page.find_elements(By.CSS_SELECTOR, "#act-result article")
    )
    assert clean == changed


def test_an_encoder_shows_what_is_filled_in_and_one_without_a_head_says_why(browser, tmp_path):
    for kind, has_head in ((BertForMaskedLM, True), (BertModel, False)):
        loaded = make_encoder(kind, has_head=has_head)
        with served(make_app(FakeExplainer(tmp_path / kind.__name__, loaded=loaded))) as address:
            open_page(browser, address, width=375)
            wait_for(browser, "status", "explained in")
            if not has_head:
                assert "no text to compare" in browser.find_element(By.ID, "acting-reason").text
                assert not browser.find_element(By.ID, "act").is_displayed()
                continue
            browser.execute_script("document.getElementById('prompt').value = 'the river rose in spring'")
            choose(browser, "act-operation", "noise")
            compare(browser)
            assert len(browser.find_elements(By.CSS_SELECTOR, "#act-result tbody tr")) == 1
            assert "the hidden tokens cost" in browser.find_element(By.ID, "act-words").text
            assert browser.execute_script("return document.documentElement.scrollWidth") <= 375
    assert browser.get_log("browser") == []


@pytest.mark.parametrize(("family", "stack"), [("t5-decoder", "encoder"), ("bart-decoder", "decoder")])
def test_an_encoder_decoder_writes_beside_itself(browser, tmp_path, family, stack):
    with served(make_app(make_writer(family, tmp_path / "study", stack=stack))) as address:
        open_page(browser, address, width=1280)
        wait_for(browser, "status", "explained in")
        assert browser.find_element(By.ID, "prompt-label").text == "Text that the encoder reads"
        assert (
            f"the scales of this study are the {stack}'s, so it acts there"
            in browser.find_element(By.ID, "act-help").text
        )
        browser.execute_script("document.getElementById('prompt').value = 'the river rose'")
        browser.execute_script("document.getElementById('seed').value = 3")
        choose(browser, "act-scale", "intermediate")
        choose(browser, "act-operation", "noise")
        browser.find_element(By.ID, "strength").send_keys(Keys.END)
        compare(browser)
        wait_for(browser, "act-words", "The two texts part after")
        articles = browser.find_elements(By.CSS_SELECTOR, "#act-result article")
        clean, changed = (a.find_element(By.CLASS_NAME, "written").text for a in articles)
        assert clean != changed
        assert not clean.startswith("the river rose")
        assert browser.find_elements(By.CSS_SELECTOR, "#act-result .given") == []
        assert "nats a token" in browser.find_element(By.ID, "act-words").text
        assert find_violations(browser) == []
    assert browser.get_log("browser") == []


@pytest.mark.parametrize("operation", ["translate", "noise", "temperature"])
def test_every_operation_can_be_chosen(show, operation):
    page = show()
    prompt = page.find_element(By.ID, "prompt")
    prompt.clear()
    prompt.send_keys("the river rose")
    choose(page, "act-scale", "local")
    choose(page, "act-operation", operation)
    assert page.find_element(By.ID, "towards-field").is_displayed() == (operation == "translate")
    compare(page)
    title = page.find_element(By.CSS_SELECTOR, "#act-result article:last-child h3").text
    assert title.startswith("local: ")
    assert title.endswith("towards topic: sea") == (operation == "translate")
    assert not page.find_element(By.ID, "act-alert").is_displayed()


def test_a_refusal_is_told_and_goes_away(show):
    page = show(may_fail=True)
    explain(page, "unreadable")
    alert = page.find_element(By.ID, "alert")
    WebDriverWait(page, 10).until(lambda _: alert.is_displayed())
    assert alert.text.endswith("a text came that the model cannot read; give another")
    assert alert.get_attribute("role") == "alert"
    assert page.find_element(By.ID, "explain").get_attribute("aria-disabled") is None
    explain(page, "A boat.")
    wait_for(page, "status", "3 tokens")
    assert not alert.is_displayed()


def test_an_older_answer_never_replaces_a_newer_one(show):
    page = show()
    page.execute_script(
        """const own = window.fetch; let n = 0;
        window.fetch = (path, options) => { const wait = n++ === 0 ? 900 : 0;
          const later = new Promise((done) => setTimeout(done, wait));
          return later.then(() => own(path, {...options, signal: undefined})); };"""
    )
    explain(page, "One slow boat came.")
    explain(page, "A bird sang.")
    wait_for(page, "status", "4 tokens")
    page.execute_async_script("setTimeout(arguments[0], 1200)")
    assert page.find_element(By.ID, "token-list").text == "A bird sang."


def test_no_text_becomes_code_and_nothing_comes_from_elsewhere(show, address):
    page = show()  # its first text is a script
    explain(page, "<img src=x onerror=alert(1)><script>document.title='owned'</script> <b>bold</b>")
    wait_for(page, "status", "explained in")
    assert page.title == "tiny <b>decoder</b> at three scales – MSMA explorer"
    assert page.find_elements(By.CSS_SELECTOR, "main b, main img, main script") == []
    fetched = page.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert len(fetched) >= 9
    assert all(name.startswith(address) for name in fetched)


@pytest.mark.parametrize(
    ("width", "scheme"), [(1280, "light"), (1280, "dark"), (375, "light"), (375, "dark")]
)
def test_axe_finds_nothing_grave(show, width, scheme):
    page = show(width, scheme)
    prompt = page.find_element(By.ID, "prompt")
    page.execute_script("arguments[0].value = 'the river rose'", prompt)
    page.execute_script("document.getElementById('act-button').click()")
    wait_for(page, "act-status", "Done in")
    open_details(page)
    assert find_violations(page) == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_nothing_grave_while_a_check_runs(show, scheme):
    page = show(375, scheme)
    explain(page, "A slow slow slow slow slow boat.")
    wait_for(page, "status", "8 tokens")
    violations = find_violations(page)
    assert page.find_element(By.ID, "token-check").text.startswith("Being checked")
    assert violations == []


@pytest.mark.parametrize("width", [320, 375, 768, 1280])
def test_nothing_is_wider_than_the_page_and_fingers_find_their_targets(show, width):
    page = show(width)
    page.execute_script("document.getElementById('prompt').value = 'the river rose'")
    page.execute_script("document.getElementById('act-button').click()")
    wait_for(page, "act-status", "Done in")
    open_details(page)
    assert page.execute_script("return document.documentElement.scrollWidth") <= width
    script = """
      const kinds = 'button, select, textarea, input[type=range], .choice label, summary, .contents a';
      return Array.from(document.querySelectorAll(kinds))
        .map(e => [e.textContent.slice(0, 20), e.getBoundingClientRect()])
        .filter(([, box]) => box.width > 0 && (box.height < 24 || box.width < 24)).map(([name]) => name)
    """
    assert page.execute_script(script) == []
    boxes = [a.rect for a in page.find_elements(By.CSS_SELECTOR, "#act-result article")]
    is_stacked = boxes[1]["y"] > boxes[0]["y"] + boxes[0]["height"] - 1
    assert is_stacked == (width < 700)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_tokens_stand_out_from_their_colours(show, scheme):
    page = show(1280, scheme)
    explain(page, TEXT)
    wait_for(page, "status", "24 tokens")
    script = """
      const luminance = (colour) => {
        const [r, g, b] = colour.match(/[\\d.]+/g).map(Number).map(v => v / 255)
          .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      return Array.from(document.querySelectorAll('#token-legend span[class^=level]')).map(span => {
        const style = getComputedStyle(span), clear = style.backgroundColor.startsWith('rgba(0, 0, 0, 0');
        const back = clear ? getComputedStyle(document.body).backgroundColor : style.backgroundColor;
        const pair = [luminance(style.color), luminance(back)].sort();
        return (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
      })
    """
    ratios = page.execute_script(script)
    assert len(ratios) == 9
    assert min(ratios) >= CONTRAST


def test_motion_is_left_out_for_those_who_ask(show, browser):
    page = show()
    moving = "return getComputedStyle(document.querySelector('#results')).transitionDuration"
    page.execute_script("document.getElementById('results').setAttribute('aria-busy', 'true')")
    assert page.execute_script(moving) == "0.2s"
    features = [{"name": "prefers-reduced-motion", "value": "reduce"}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    assert page.execute_script(moving) == "0s"
