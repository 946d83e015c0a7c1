"""The settings of selecting and pairing."""

from __future__ import annotations

from dataclasses import dataclass

from liverpair.dicom.pairing import Window

__all__ = ["CohortSettings"]


@dataclass(frozen=True, slots=True)
class CohortSettings:
    """How examinations become pairs.

    ``window_days``: largest |MRI − PET| in days, inclusive (92: three months, the published study's);
    ``days_before`` / ``days_after`` replace it on one side, for an MRI before or after the PET.

    The closest PET and MRI of a patient are paired first, then the closest of what is left: nobody reads an MRI of 69
    days so that another PET may give up its MRI of the next day, even if that leaves one PET without a partner. Equal
    intervals are decided by: the MRI with a hepatobiliary phase, then with more kinds of sequences, then with more
    images; the PET with a CT of its own study, of a sibling study, without; the earlier in the day; the earlier MRI;
    the earlier PET; the smaller Study Instance UID. ``mr_reuse``: whether one MRI may serve several PETs (each then
    takes its nearest); by default every examination serves once, as pairs that share an MRI are no independent
    readings.

    ``join_issuers``: whether one Patient ID of two issuers is one patient. ``patient_map``: a CSV with the columns
    old_id,new_id: patients whose Patient ID has changed are joined under the new one. Patient IDs that merely look
    alike are never joined; the exclusions say where there are such.
    ``ssr_nuclides_without_ligand``: see TracerSettings.
    """

    window_days: int = 92
    days_before: int | None = None
    days_after: int | None = None
    mr_reuse: bool = False
    join_issuers: bool = False
    patient_map: str = ""
    ssr_nuclides_without_ligand: tuple[str, ...] = ("177Lu",)

    def __post_init__(self) -> None:
        """Refuse negative days: they would let nothing in, silently."""
        for name in ("window_days", "days_before", "days_after"):
            days = getattr(self, name)
            if days is not None and days < 0:
                raise ValueError(f"{name} is {days}; give 0 or more days")

    @property
    def window(self) -> Window:
        """The window with both sides resolved."""
        before = self.window_days if self.days_before is None else self.days_before
        after = self.window_days if self.days_after is None else self.days_after
        return Window(before, after)

    @property
    def window_words(self) -> str:
        """The window in words, for methods and exclusions."""
        before, after = self.window.before, self.window.after
        return f"{before} days" if before == after else f"{before} days before to {after} days after the PET"
