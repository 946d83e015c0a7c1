"""The answer that a form gives behind a mention: "Lebermetastasen: nein", "Liver metastases? Yes", "Y/N: N"."""

from __future__ import annotations

from liverpair.evaluate.labels.reading import Reading
from liverpair.evaluate.labels.rules import Hit

__all__ = ["ANSWERS_NO", "ANSWERS_OPEN", "ANSWERS_YES", "answer"]

# One-word answers of forms, in both languages (a form may be in English inside a German report).
ANSWERS_NO = frozenset(
    {"nein", "keine", "kein", "none", "no", "nil", "negativ", "negative", "nicht", "absent", "n", "0", "not", "neg"}
    | {"fehlanzeige", "false", "falsch", "nihil", "nix", "nichts", "nothing", "ausgeschlossen", "excluded"}
)
_BARE_ANSWERS = frozenset(
    {"nein", "no", "none", "keine", "absent", "ja", "yes", "present", "unklar", "unclear", "vorhanden"}
)
_SURE = frozenset({"sicher", "klar", "eindeutig", "sure", "clear", "certain", "definite"})
_CHOICES = frozenset({"y", "n", "j", "ja", "nein", "yes", "no", "/", "|"})
ANSWERS_YES = frozenset({"true", "wahr", "ja", "j", "yes", "y", "present", "positive", "positiv", "pos", "vorhanden"})
ANSWERS_OPEN = frozenset(
    {"fraglich", "unklar", "unsicher", "moeglich", "equivocal", "possible", "uncertain", "indeterminate", "unclear"}
    | {"questionable", "suspected", "suspekt", "suspicious", "auffaellig", "doubtful", "verdacht", "v.a.", "?"}
)


def answer(hit: Hit, reading: Reading) -> str:
    """The word behind "Lebermetastasen:" or "Liver metastases:", "" if the mention is no such question."""
    words = [word for word in reading.words[hit.end :] if word not in (".", "[", "]", "(", ")")]
    named = 0
    while named < len(words) and words[named] in _CHOICES:
        named += 1  # "Liver metastases Y/N: N"
    if named and named < len(words) and words[named] == ":":
        words = words[named:]
    if len(words) >= 2 and words[0] in (":", "?", "-", "="):
        if _begins_course(hit, reading):
            return ""
        unsure = words[1] in ("nicht", "not") and words[2:3] and words[2] in _SURE  # "Lebermetastasen? Nicht sicher."
        return "unklar" if unsure else words[1]
    # "Lebermetastasen nein": the answer ends its line or part.
    ended = len(words) == 1 or (len(words) > 1 and words[1] in (",", ";", "|"))
    return words[0] if ended and words[0] in _BARE_ANSWERS else ""


def _begins_course(hit: Hit, reading: Reading) -> bool:
    """ "Hepatic metastases: no significant change": what stands behind the mark denies a change."""
    return any(cue.category == "pseudo" and cue.start == hit.end + 1 for cue in reading.cues)
