"""The whole simulation behind docs/statistics.md: some minutes on one core, `make test-long`."""

from pathlib import Path

import pytest

from tests import error_rates

pytestmark = pytest.mark.long

PAGE = Path(__file__).parents[2] / "docs" / "statistics.md"


def test_the_page_holds_what_is_simulated() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert [table for table in error_rates.tables() if table not in page] == []


def test_hardly_any_verdict_is_wrong_where_the_page_says_so() -> None:
    """At most 5 % and three standard errors of a simulation, in every setting but those that the page names."""
    most = 5.0 + 3 * 0.22
    plans = [*map(error_rates.fixed, error_rates.SEEDS), error_rates.looks(12), error_rates.looks(24)]
    settings = [one for name, one in error_rates.HEALTHY.items() if "skewed" not in name]
    settings += [setting for _, setting in error_rates.failing_settings()]
    found = {(setting, at[-1].n, len(at)): error_rates.wrong(setting, at) for setting in settings for at in plans}
    assert {key: rate for key, rate in found.items() if rate > most} == {}
