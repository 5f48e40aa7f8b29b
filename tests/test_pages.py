"""The code in README and docs runs, each page from top to bottom in an empty folder."""

from pathlib import Path

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

from lazytrack.provenance import capture

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_code_of_a_page_runs_from_top_to_bottom(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAZYTRACK_PROVENANCE", "1")
    monkeypatch.setattr(capture, "PATIENCE_SECONDS", 60)  # the machine may be busy
    for example in Sybil(parsers=[PythonCodeBlockParser()]).parse(page).examples():
        example.evaluate()


def test_the_readme_opens_with_the_two_commands():
    opening = PAGES[0].read_text().split("\n## ")[0]
    assert "make demo" in opening
    assert "make test" in opening


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_page_that_another_one_links_is_there(page):
    targets = [part.split(")")[0].partition("#")[0] for part in page.read_text().split("](")[1:]]
    assert [link for link in targets if not link.startswith("https://") and not (page.parent / link).exists()] == []
