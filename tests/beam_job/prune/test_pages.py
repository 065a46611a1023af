"""Which pages a prune looks at."""

from beam_job.prune.pages import pages


def test_pages_lie_beside_the_runs_and_in_them(tmp_path):
    run = tmp_path / "run=20260102T030405Z-a1b2c3"
    for folder in (run, tmp_path / "exports", tmp_path / "run=1" / "deeper"):
        folder.mkdir(parents=True)
    wanted = [tmp_path / "report.html", tmp_path / "review.html", run / "report.html"]
    for path in (*wanted, run / "manifest.json", tmp_path / "exports" / "a.html", tmp_path / "run=1" / "deeper/b.html"):
        path.touch()
    assert sorted(pages(str(tmp_path))) == sorted(map(str, wanted))
