"""Reports and summaries as axe-core sees them: nothing that keeps somebody out."""

import pytest

from accessibility import SCHEMES, find_violations, open_details, open_page
from bias_folder import make_bias_folder
from compared_studies import make_layers, make_study
from explained_study import make_explanation
from msma.model_comparison import compare_studies
from msma.reporting import write_explanation, write_report, write_summary
from msma.reporting.comparison import write_comparison_report
from planted_experiment import make_experiment
from robustness_folder import make_robustness_folder
from study_folder import make_study_folder

pytest.importorskip("selenium_axe_python", reason="pip install selenium-axe-python")

pytestmark = pytest.mark.browser

WIDTHS = (375, 1280)


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A report with everything in it, an experiment's summary, a text explained, two studies compared."""
    study = make_study_folder(tmp_path_factory.mktemp("study"))
    make_bias_folder(study / "bias")
    make_robustness_folder(study / "robustness")
    experiment = make_experiment()
    experiment.save(study / "intervention")
    layers = make_layers()
    others = [
        make_study(tmp_path_factory.mktemp(name), layers + k, model=name) for k, name in enumerate("AB")
    ]
    return {
        "explanation": write_explanation(
            make_explanation(), tmp_path_factory.mktemp("explanation") / "explanation.html"
        ),
        "comparison": write_comparison_report(
            compare_studies(*others), tmp_path_factory.mktemp("comparison")
        ),
        "report": write_report(study),
        "summary": write_summary(experiment, tmp_path_factory.mktemp("summary")),
    }


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["report", "summary", "explanation", "comparison"])
def test_axe_finds_nothing_grave(browser, pages, name, width, scheme):
    open_page(browser, pages[name].as_uri(), width=width, scheme=scheme)
    open_details(browser)
    assert find_violations(browser) == []


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["summary", "explanation", "comparison"])
def test_a_page_never_scrolls_sideways_and_runs_nothing(browser, pages, name, width, scheme):
    open_page(browser, pages[name].as_uri(), width=width, scheme=scheme)
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
