"""The STARD 2015 checklist, each item with the section of this report that answers it, or the manuscript."""

from __future__ import annotations

__all__ = ["stard"]

MANUSCRIPT = ""
#: (item, topic, section): Bossuyt et al., BMJ 2015;351:h5527. A section is an anchor, or several of which the first
#: that a report has answers; "" is for the manuscript.
ITEMS: tuple[tuple[str, str, str], ...] = (
    ("1", "Identification as a study of diagnostic accuracy", "top"),
    ("2", "Structured summary", "top"),
    ("3", "Background and clinical role of the index test", MANUSCRIPT),
    ("4", "Objectives and hypotheses", MANUSCRIPT),
    ("5", "Prospective or retrospective data collection", "methods"),
    ("6", "Eligibility criteria", "methods"),
    ("7", "How eligible participants were identified", "flow"),
    ("8", "Where and when (the dates; the place is for the manuscript)", "participants"),
    ("9", "Consecutive, random or convenience series", "methods"),
    ("10a", "Index test in sufficient detail", "methods"),
    ("10b", "Reference standard in sufficient detail", "methods"),
    ("11", "Rationale for the reference standard", MANUSCRIPT),
    ("12a", "Positivity cut-offs of the index test", "methods"),
    ("12b", "Positivity cut-offs of the reference standard", "methods"),
    ("13a", "Whether the index reading knew the reference", "methods"),
    ("13b", "Whether the reference reading knew the index", "methods"),
    ("14", "Methods for estimating accuracy", "methods"),
    ("15", "Handling of indeterminate results", "crosstable"),
    ("16", "Handling of missing data", "missing"),
    ("17", "Analyses of variability, prespecified or exploratory", "subgroups readers"),
    ("18", "Sample size (what was reached and what is needed; the plan is for the manuscript)", "precision"),
    ("19", "Flow of participants", "flow"),
    ("20", "Baseline characteristics", "participants"),
    ("21a", "Distribution of severity in those with the condition", "disease lesions participants"),
    ("21b", "Alternative diagnoses in those without", "disease"),
    ("22", "Interval and interventions between the two tests", "interval"),
    ("23", "Cross tabulation of index test and reference standard", "crosstable"),
    ("24", "Estimates of accuracy and their precision", "estimates lesions readers"),
    ("25", "Adverse events", MANUSCRIPT),
    ("26", "Limitations", "limits"),
    ("27", "Implications for practice", MANUSCRIPT),
    ("28", "Registration number", MANUSCRIPT),
    ("29", "Where the protocol can be accessed (the settings are printed)", "settings"),
    ("30", "Funding", MANUSCRIPT),
)


def stard(sections: dict[str, str]) -> list[tuple[str, str, str, str]]:
    """(item, topic, anchor, section's name) of every item; ``sections`` are those that this report has."""
    rows = []
    for item, topic, anchors in ITEMS:
        anchor = next((a for a in anchors.split() if a in sections), "")
        rows.append((item, topic, anchor, sections[anchor] if anchor else "manuscript"))
    return rows
