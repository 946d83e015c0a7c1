"""Convert what PET pixels are stored in to SUVbw: activity, counts, or an SUV of another normalisation."""

from __future__ import annotations

from dataclasses import dataclass

from liverpair.core.errors import SuvRefusal
from liverpair.dicom.suv_header import SeriesFacts

__all__ = ["Body", "body_of", "bsa_cm2", "dose_bq", "ideal_weight_g", "lean_mass_g", "normalisation", "unusual_dose"]

#: Weights above this are grams (no patient weighs a tonne); the spec's rule.
GRAMS_FROM = 1000.0
#: Lightest newborn and what scanner tables carry, in kg; beyond, a unit or a field was mixed up.
WEIGHT_RANGE_KG = (2.0, 320.0)
#: A height above this is written in cm.
CENTIMETRES_FROM = 3.0
HEIGHT_RANGE_M = (0.3, 2.6)
#: kg/m²; outside, weight or height is doubtful (pounds, a height in the weight's place): reported ...
BMI_RANGE = (14.0, 45.0)
#: ... and outside this nobody lives: weight or height is wrong, and only the weight makes the SUV: refused.
POSSIBLE_BMI_RANGE = (8.0, 110.0)
#: Below this a dose is written in MBq (spec suv.md).
MEGABECQUEREL_BELOW = 1e5
#: Numbers that are a usual dose both in mCi and (for a child) in MBq (spec suv.md).
AMBIGUOUS_DOSE = (1.0, 20.0)
#: Administered activities in Bq that exist: from a child's scan to radioligand therapy (7.4 GBq, split cycles more).
DOSE_RANGE_BQ = (5e6, 2e10)
#: No diagnostic dose of a nuclide living less than a day exceeds this (FDG stays below 0.8 GBq).
DIAGNOSTIC_DOSE_LIMIT_BQ = 2e9
#: A weight this close to the height in cm, in a body that would be obese, is the height typed twice.
SAME_NUMBER = 0.6
#: Usual diagnostic activities of nuclides living less than a day, in Bq and Bq/kg, ⁶⁸Ga and ¹⁸F together; a slipped
#: decimal point leaves them: reported, not refused.
USUAL_DOSE_BQ = (2.5e7, 8e8)
USUAL_DOSE_BQ_PER_KG = (7e5, 1.2e7)
DAY_S = 86400.0
DOSE_UNITS = {"Bq": 1.0, "kBq": 1e3, "MBq": 1e6, "GBq": 1e9, "mCi": 3.7e7}


@dataclass(frozen=True, slots=True)
class Body:
    """The patient: weight in kg, height in m (each None where unknown), sex M, F, O or "".

    ``doubt`` says why the weight cannot be used although it is there ("" where it can).
    """

    weight_kg: float | None
    height_m: float | None
    sex: str
    warnings: tuple[str, ...] = ()
    doubt: str = ""


def body_of(series: SeriesFacts, weight_kg: float | None = None) -> Body:
    """Weight and height in kg and m; ``weight_kg`` overrides the header.

    A weight nobody has, as when weight and height were swapped, is a ``doubt`` that refuses whatever needs a weight.
    """
    warnings: list[str] = []
    doubt = ""
    weight = series.weight if weight_kg is None else weight_kg
    height = series.size
    if weight_kg is not None:
        warnings.append("weight_overridden: the patient's weight was taken from the settings")
    if weight is not None and weight <= 0:
        weight = None
    if weight is not None and weight > GRAMS_FROM:
        warnings.append(f"weight_in_grams: Patient's Weight {weight:g} was read as grams")
        weight /= 1000
    if weight is not None and not WEIGHT_RANGE_KG[0] <= weight <= WEIGHT_RANGE_KG[1]:
        swapped = height is not None and height > 20
        hint = "weight and height look swapped" if swapped else "no patient has this weight in kg"
        size = f"{height:g}" if height is not None else "absent"
        doubt = f"Patient's Weight is {weight:g} and Patient's Size {size}; {hint}"
    if height is not None and height > CENTIMETRES_FROM:
        warnings.append(f"height_in_centimetres: Patient's Size {height:g} was read as cm")
        height /= 100
    if height is not None and not HEIGHT_RANGE_M[0] <= height <= HEIGHT_RANGE_M[1]:
        warnings.append(f"height_implausible: Patient's Size {series.size} is ignored")
        height = None
    if weight and height and not doubt:
        index = weight / height**2
        if not BMI_RANGE[0] <= index <= BMI_RANGE[1]:
            warnings.append(f"body_implausible: {weight:g} kg at {height:g} m; check Patient's Weight and Size")
        if not POSSIBLE_BMI_RANGE[0] <= index <= POSSIBLE_BMI_RANGE[1] and weight_kg is None:
            doubt = f"nobody weighs {weight:g} kg at {height:g} m: weight or height is wrong, or they are swapped"
        if index > BMI_RANGE[1] and abs(weight - 100 * height) < SAME_NUMBER and weight_kg is None:
            doubt = f"Patient's Weight {weight:g} is the height in cm"
    if doubt:
        warnings.append(f"weight_implausible: {doubt}")
    return Body(weight, height, series.sex, tuple(warnings), doubt)


def weight_g(body: Body) -> float:
    """Weight in g. Raises SuvRefusal: weight_missing, weight_implausible."""
    if body.weight_kg is None:
        raise SuvRefusal(
            "weight_missing",
            "Patient's Weight (0010,1030) is absent or 0 and SUVbw is defined by it. Restore it or set weight_kg",
        )
    if body.doubt:
        raise SuvRefusal("weight_implausible", f"{body.doubt}. Correct the header or set weight_kg")
    return body.weight_kg * 1000


def _height_cm(body: Body) -> float:
    if body.height_m is None:
        raise SuvRefusal(
            "height_missing",
            "the pixels are normalised to lean mass, ideal weight or surface area and Patient's Size (0010,1020) is "
            "absent; they cannot be converted back to body weight. Restore it",
        )
    return body.height_m * 100


def _by_sex(body: Body, male: float, female: float) -> float:
    """The formula of the patient's sex; their mean for O, as the IBSI reference objects do; refused where unknown."""
    known = {"M": male, "F": female, "O": (male + female) / 2}
    if body.sex not in known:
        raise SuvRefusal(
            "sex_missing",
            "the pixels are normalised by a formula that differs between the sexes and Patient's Sex (0010,0040) is "
            "absent; the difference is 6–20 %. Restore it",
        )
    return known[body.sex]


def lean_mass_g(body: Body, formula: str) -> float:
    """Lean body mass in g by ``formula``: james120 (Morgan's correction), james128 or janmahasatian."""
    weight, height = weight_g(body) / 1000, _height_cm(body)
    ratio = (weight / height) ** 2
    if formula == "janmahasatian":
        index = weight / (height / 100) ** 2
        male, female = 9270 * weight / (6680 + 216 * index), 9270 * weight / (8780 + 244 * index)
    else:
        multiplier = {"james120": 120, "james128": 128}[formula]
        male, female = 1.10 * weight - multiplier * ratio, 1.07 * weight - 148 * ratio
    return 1000 * _by_sex(body, male, female)


def ideal_weight_g(body: Body) -> float:
    """Ideal body weight in g: 48 + 1.06·(H−152) for men, 45.5 + 0.91·(H−152) for women, H in cm (Sugawara 1999)."""
    above = _height_cm(body) - 152
    return 1000 * _by_sex(body, 48.0 + 1.06 * above, 45.5 + 0.91 * above)


def bsa_cm2(body: Body) -> float:
    """Body surface area in cm² (DuBois): 0.007184·H^0.725·W^0.425 m²."""
    return 0.007184 * _height_cm(body) ** 0.725 * (weight_g(body) / 1000) ** 0.425 * 1e4


def normalisation(series: SeriesFacts, body: Body) -> tuple[float, tuple[str, ...]]:
    """Factor that turns an SUV stored in GML or CM2ML into SUVbw, and warnings.

    Raises SuvRefusal: suv_type_unknown, weight_missing, height_missing, sex_missing.
    """
    kind = series.suv_type
    if series.units == "CM2ML" and kind in ("", "BSA"):
        return weight_g(body) / bsa_cm2(body), _sex_warning(body, needed=False)
    if series.units == "GML" and kind in ("", "BW"):
        note = "suv_type_absent: SUV Type is empty, which the standard defines as body weight"
        return 1.0, (note,) if not kind else ()
    formulas = {"LBM": "james120", "LBMJAMES128": "james128", "LBMJANMA": "janmahasatian"}
    if series.units == "GML" and kind in formulas:
        return weight_g(body) / lean_mass_g(body, formulas[kind]), _sex_warning(body, needed=True)
    if series.units == "GML" and kind == "IBW":
        return weight_g(body) / ideal_weight_g(body), _sex_warning(body, needed=True)
    raise SuvRefusal(
        "suv_type_unknown",
        f"Units {series.units} with SUV Type {kind!r} name no normalisation this program knows; nothing was converted",
    )


def _sex_warning(body: Body, needed: bool) -> tuple[str, ...]:
    if needed and body.sex == "O":
        return ("sex_other: the mean of the male and the female formula was used",)
    return ()


def dose_bq(series: SeriesFacts, unit: str = "auto") -> tuple[float, tuple[str, ...]]:
    """Administered activity in Bq and warnings; ``unit`` (Bq, kBq, MBq, GBq, mCi) overrides the reading by size.

    Raises SuvRefusal: dose_missing, dose_ambiguous, dose_implausible.
    """
    dose = series.dose
    if series.doses > 1:
        raise SuvRefusal(
            "dose_ambiguous",
            f"the header holds {series.doses} different administrations; which one made the image is not stated",
        )
    if dose is None or dose <= 0:
        raise SuvRefusal("dose_missing", "Radionuclide Total Dose (0018,1074) is absent or 0. Restore it")
    warnings: tuple[str, ...] = ()
    if unit != "auto":
        activity = dose * DOSE_UNITS[unit]
        warnings = (f"dose_unit_overridden: Radionuclide Total Dose {dose:g} was read in {unit} by the settings",)
    elif AMBIGUOUS_DOSE[0] <= dose <= AMBIGUOUS_DOSE[1]:
        raise SuvRefusal(
            "dose_ambiguous",
            f"Radionuclide Total Dose is {dose:g}: neither Bq nor surely MBq or mCi. Set dose_unit",
        )
    elif dose < MEGABECQUEREL_BELOW:
        activity = dose * 1e6
        warnings = (f"dose_in_megabecquerel: Radionuclide Total Dose {dose:g} was read as MBq",)
    else:
        activity = dose
    limit = DOSE_RANGE_BQ[1] if (series.half_life_s or 0) > DAY_S else DIAGNOSTIC_DOSE_LIMIT_BQ
    if not DOSE_RANGE_BQ[0] <= activity <= limit:
        raise SuvRefusal(
            "dose_implausible",
            f"Radionuclide Total Dose {dose:g} means {activity / 1e6:g} MBq, which nobody administers for this "
            "nuclide; its unit is unclear. Set dose_unit or correct the header",
        )
    return activity, warnings


def unusual_dose(activity: float, weight_kg: float, half_life_s: float) -> tuple[str, ...]:
    """A warning where a short-lived activity (Bq) is far from what is injected for a scan; half-life in s."""
    usual = USUAL_DOSE_BQ[0] <= activity <= USUAL_DOSE_BQ[1]
    per_kg = activity / weight_kg
    if half_life_s > DAY_S or (usual and USUAL_DOSE_BQ_PER_KG[0] <= per_kg <= USUAL_DOSE_BQ_PER_KG[1]):
        return ()
    return (
        f"dose_unusual: {activity / 1e6:g} MBq ({per_kg / 1e6:.2g} MBq/kg) is far from what is injected for a scan; "
        "check Radionuclide Total Dose",
    )
