"""What axe-core finds wrong with a page in a browser, for every browser test that wants to know."""

from typing import Any

import pytest

#: What axe-core calls findings that keep somebody out.
GRAVE = ("serious", "critical")
SCHEMES = ("light", "dark")


def open_page(browser: Any, address: str, *, width: int = 1280, scheme: str = "light") -> None:
    """Open a page at a width and colour scheme."""
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(address)


def open_details(browser: Any) -> None:
    """Unfold everything folded, since axe-core looks only at what is shown."""
    browser.execute_script("document.querySelectorAll('details').forEach(part => part.open = true)")


def find_violations(browser: Any) -> list[str]:
    """Run axe-core on the page shown; return its serious and critical findings, one line an element."""
    axe = pytest.importorskip(
        "selenium_axe_python", reason="selenium-axe-python is not installed: pip install selenium-axe-python"
    )
    checker = axe.Axe(browser)
    checker.inject()
    browser.set_script_timeout(600)
    found = checker.run(options={"resultTypes": ["violations"]})
    return [
        f"{finding['impact']} {finding['id']}: {' '.join(map(str, node['target']))}: {node['failureSummary']}"
        for finding in found["violations"]
        if finding["impact"] in GRAVE
        for node in finding["nodes"]
    ]
