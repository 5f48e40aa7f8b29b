"""Eight processes that write to one store on another machine while others pack and read: nothing is lost."""

import json

import pytest
from store_checks import finish
from test_many_writers import go_together

from lazytrack import Project

WRITERS, EXPERIMENTS = 8, 12


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["s3", "gcs", "azure", "sftp"])
def test_what_was_acknowledged_is_there(kind, request, tmp_path, start, monkeypatch):
    url, options = request.getfixturevalue(kind)
    monkeypatch.setenv("STORAGE_OPTIONS", json.dumps(options))
    notes = tmp_path / "notes"
    notes.mkdir()
    path = f"{url}/project.json"
    writers = [start("child_writer.py", path, n, EXPERIMENTS, notes / str(n)) for n in range(WRITERS)]
    packer = start("child_packer.py", f"{url}/project")
    reader = start("child_reader.py", path, notes)
    go_together([packer, reader, *writers])
    *_, packs, readings = finish(*writers, packer, reader)
    assert int(packs) > 0
    assert int(readings) > 0
    saved = [file.read_text().split() for file in sorted(notes.iterdir())]
    project = Project(path, mode="r", **options)
    assert project.problems == {}
    assert {exp.slug for exp in project.experiments} == {slug for slugs in saved for slug in slugs}
    for writer, slugs in enumerate(saved):
        for number, slug in enumerate(slugs):
            exp = project[slug]
            assert exp.parameters == {"writer": writer, "number": number}
            last = number == EXPERIMENTS - 1
            assert (exp.metrics, exp.tags) == ({"loss": number / 8 if last else -1}, ["draft"] if last else [])
            if number % 2:
                assert exp.load_artifact("model") == (writer, number)
