"""Reports and summaries as axe-core sees them: nothing that keeps somebody out."""

import pytest

from accessibility import SCHEMES, find_violations, open_details, open_page
from bias_folder import make_bias_folder
from msma.reporting import write_report, write_summary
from planted_experiment import make_experiment
from robustness_folder import make_robustness_folder
from study_folder import make_study_folder

pytest.importorskip("selenium_axe_python", reason="pip install selenium-axe-python")

pytestmark = pytest.mark.browser

WIDTHS = (375, 1280)


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A report with everything in it, and an experiment's summary."""
    study = make_study_folder(tmp_path_factory.mktemp("study"))
    make_bias_folder(study / "bias")
    make_robustness_folder(study / "robustness")
    experiment = make_experiment()
    experiment.save(study / "intervention")
    return {
        "report": write_report(study),
        "summary": write_summary(experiment, tmp_path_factory.mktemp("summary")),
    }


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["report", "summary"])
def test_axe_finds_nothing_grave(browser, pages, name, width, scheme):
    open_page(browser, pages[name].as_uri(), width=width, scheme=scheme)
    open_details(browser)
    assert find_violations(browser) == []


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_a_summary_never_scrolls_sideways_and_runs_nothing(browser, pages, width, scheme):
    open_page(browser, pages["summary"].as_uri(), width=width, scheme=scheme)
    open_details(browser)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0
    assert browser.execute_script("return document.querySelectorAll('script, b').length") == 0
    assert browser.get_log("browser") == []


def test_axe_finds_what_is_wrong(browser, tmp_path):
    page = tmp_path / "poor.html"
    page.write_text(
        "<!DOCTYPE html><html><head><title>x</title></head><body><main><img src='data:,'>"
        "<p style='color:#ccc;background:#fff'>pale</p></main></body></html>",
        encoding="utf-8",
    )
    open_page(browser, page.as_uri())
    found = {finding.split()[1].rstrip(":") for finding in find_violations(browser)}
    assert found == {"image-alt", "color-contrast", "html-has-lang"}
