"""The sections of every page: a function each, from an analysis to blocks. A page is the list of its sections."""

from collections.abc import Callable, Sequence

from nin_bench.analysis.analysis import Analysis
from nin_bench.analysis.search.analysis import SearchAnalysis
from nin_bench.reporting.blocks import Block
from nin_bench.reporting.sections import checklist, claims, costs, networks, probes, search, setting, summary

REPORT: Sequence[Callable[[Analysis], list[Block]]] = (
    summary.summary,
    claims.claims,
    networks.interactions,
    costs.costs,
    networks.curves,
    networks.scores,
    networks.failures,
    networks.confusions,
    probes.probes,
    networks.published,
    setting.setting,
    checklist.checklist,
    setting.how_to_read,
)
"""The sections of a report, in the page's order."""

SEARCH: Sequence[Callable[[SearchAnalysis], list[Block]]] = (
    search.best,
    search.ease,
    search.budget,
    search.importance,
    search.setting,
)
"""The sections of a search's page, in its order."""
