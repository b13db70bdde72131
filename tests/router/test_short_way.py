"""The path of one Score stays short: another file or return is a decision, not an accident."""

from tools.trace_score import trace_score, visits_of

MOST_FILES = 32
MOST_RETURNS = 25


async def test_one_score_enters_few_files_and_seldom_returns_to_one() -> None:
    visits = visits_of(await trace_score(is_served=False))

    files = list(dict.fromkeys(file for file, _ in visits))
    assert files[0] == "router/edge/service.py"
    assert "understudy/logs/log_queue.py" in files, "it has to go all the way"
    assert len(files) <= MOST_FILES, files
    assert len(visits) - len(files) <= MOST_RETURNS, visits
