"""Claim by claim: effects with their intervals, the numbers that each verdict rests on, what stays open."""

from collections.abc import Sequence

from nin_bench.analysis.analysis import Analysis
from nin_bench.analysis.verdicts import Verdict
from nin_bench.reporting import blocks as page
from nin_bench.reporting.verdict_text import VerdictText, shares_of


def claims(analysis: Analysis) -> list[page.Block]:
    """Every claim in one line of numbers; counts, which no seed changes, stand apart."""
    verdicts, names = analysis.hypotheses, analysis.names
    texts = [VerdictText(verdict, names) for verdict in verdicts]
    tested = [said for said in texts if not said.verdict.is_counted]
    counted = [said for said in texts if said.verdict.is_counted]
    found: list[page.Block] = [page.Figure("effects")]
    if tested:
        found.append(_tested(tested))
    if counted:
        found += [page.Paragraph("Counted, so exact and known before any training:"), _counted(counted)]
    by_value = [(said.verdict.id, said.points) for said in texts if said.points]
    remarks = [*by_value, *((said.verdict.id, remark) for said in texts for remark in said.remarks())]
    if remarks:
        found.append(page.Bullets(page.grouped(remarks)))
    found += _test_images(analysis)
    if analysis.lock.given_up:
        given_up = ", ".join(analysis.lock.given_up)
        found.append(page.Paragraph(f"Locked at the first run and withdrawn or changed since: {given_up}."))
    if analysis.open_claims:
        items: list[page.Text] = [
            (f"{claim.claim} ", page.Strong("Open."), f" {claim.reason}") for claim in analysis.open_claims
        ]
        found.append(page.Details("Claims that these cells cannot answer", (page.Bullets(tuple(items)),)))
    return [page.Section("Claims", tuple(found))] if len(found) > 1 else []


def _tested(texts: Sequence[VerdictText]) -> page.Table:
    headings = (
        "claim",
        "verdict",
        "compared",
        "effect",
        "interval",
        "claimed",
        "n, test",
        "failed",
        "lost a class",
    )
    rows = [
        (
            _claim(said.verdict), _verdict(said.verdict), said.compared, said.effect, said.interval, said.claimed,
            said.rests_on, shares_of(said.verdict.failed), shares_of(said.verdict.lost_classes),
        )
        for said in texts
    ]  # fmt: skip
    return page.Table(headings, tuple(rows), "lllrrrrrr")


def _counted(texts: Sequence[VerdictText]) -> page.Table:
    headings = ("claim", "verdict", "compared", "A", "B", "effect", "claimed")
    rows = [
        (_claim(said.verdict), _verdict(said.verdict), said.compared, *said.counts, said.effect, said.claimed)
        for said in texts
    ]
    return page.Table(headings, tuple(rows), "lllrrrr")


def _claim(verdict: Verdict) -> page.Text:
    return (page.Strong(verdict.id), f": {verdict.claim.strip()}")


def _verdict(verdict: Verdict) -> page.Text:
    marks = {
        "secondary": not verdict.primary and not verdict.is_counted,
        "trade-off": verdict.trade_off,
        "post hoc": verdict.post_hoc,
        "early look": verdict.early,
    }
    return (
        page.Strong(verdict.verdict, verdict.verdict),
        "".join(f", {mark}" for mark, holds in marks.items() if holds),
    )


def _test_images(analysis: Analysis) -> list[page.Block]:
    errors = list(analysis.test_set_errors.values())
    if not errors:
        return []
    images = [error.images_error for error in errors]
    seeds = [error.seeds_error for error in errors if error.seeds_error is not None]
    said = (
        "Verdicts rest on the seeds, and are about these test images. Other images of the kind would move the "
        f"differences in accuracy by a standard error of {_points(images)} points"
    )
    return [page.Paragraph(said + (f", other seeds by {_points(seeds)}." if seeds else "."))]


def _points(shares: Sequence[float]) -> str:
    ends = dict.fromkeys(f"{100 * end:.2f}" for end in (min(shares), max(shares)))
    return " to ".join(ends)
