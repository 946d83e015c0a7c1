"""Settings of every step of the registration, in the order in which the steps come.

They stand apart from the steps so that a command that computes on no image reads and checks them without loading what
computes on images (numba, scipy, scikit-image: more than a second).
"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = [
    "AlongSettings",
    "DeformSettings",
    "FluidSettings",
    "PetMotionSettings",
    "QualitySettings",
    "RegisterSettings",
    "SecondSettings",
    "StartSettings",
    "UncertaintySettings",
]


@dataclass(frozen=True, slots=True)
class PetMotionSettings:
    """How the motion is searched and when it is corrected.

    ``correct_above_mm``: a smaller motion is within what breathing blurs anyway. ``reach_mm``: the largest motion along
    (left, back, head) that is looked for. ``blur_mm``: standard deviation, in the same order, of the PET's point spread
    and breathing together. ``shell_mm``: how far around the surface the comparison looks. ``least_agreement``:
    correlation below which mask and PET do not show the same organ, and nothing is said.
    """

    correct_above_mm: float = 5.0
    reach_mm: tuple[float, float, float] = (16.0, 16.0, 36.0)
    blur_mm: tuple[float, float, float] = (3.0, 3.0, 4.5)
    shell_mm: float = 15.0
    spacing_mm: float = 6.0
    least_agreement: float = 0.5


@dataclass(frozen=True, slots=True)
class StartSettings:
    """Which starts are tried.

    Liver volumes whose ratio leaves ``volume_ratio`` belong to unlike masks (a lobe missed, a truncated
    field of view): their affine is not tried, because it would stretch one part of the liver onto the whole.
    ``rotation_sd_deg``, ``scale_sd`` and ``shift_sd_mm`` are what a patient's position and breathing
    plausibly do to the liver between two examinations; they keep an affine fitted to imperfect masks from
    bending over.
    """

    spacing_mm: float = 4.0
    volume_ratio: float = 1.25
    rotation_sd_deg: float = 8.0
    scale_sd: float = 0.06
    shift_sd_mm: float = 20.0
    iterations: int = 25
    refine_iterations: int = 25


@dataclass(frozen=True, slots=True)
class AlongSettings:
    """How densely the heights are tried.

    A refinement finds the way over half of ``step_mm``; a liver may reach ``beyond_mm`` out of the other field of view
    at either end. ``quick_iterations`` of it tell which ``kept`` starts are worth all of them.
    """

    step_mm: float = 30.0
    beyond_mm: float = 60.0
    quick_iterations: int = 6
    kept: int = 3


@dataclass(frozen=True, slots=True)
class FluidSettings:
    """What counts as fluid on a CT smoothed by about 1.5–2 mm.

    Between ``lowest_hu`` (fat lies below) and ``highest_hu`` (bile 0–20; unenhanced vessels 35 or more), and
    ``below_liver_hu`` darker than the liver, so that a fatty liver is no fluid. ``opening_mm`` removes the shells
    between liver and fat that pass through these values; what is left and holds less than ``smallest_ml`` (a sphere
    of 16 mm) may be a lesion, which moves with the liver. ``rim_mm`` is given back, with the blurred border.
    """

    lowest_hu: float = -25.0
    highest_hu: float = 25.0
    below_liver_hu: float = 20.0
    opening_mm: float = 4.0
    smallest_ml: float = 2.0
    rim_mm: float = 3.0


@dataclass(frozen=True, slots=True)
class SecondSettings:
    """When the second image is heard, and how loudly.

    Two things must hold: the first image is noisy, and what it shows is not like the moving image all the same.
    ``quiet`` and ``noisy`` are variances of the first image's quietest windows as shares of its liver's whole
    variance: 0.31–0.35 on native CT with 11 HU of noise and visible vessels, 0.41 where vessels are iso-dense, 0.45
    and more with 30 HU. Below ``quiet`` the second image is left out (it would only cost time), from ``noisy`` on its
    mean squared correlation counts ``share`` times the first one's. How like the first image is to the moving one is
    known after the first level (QualitySettings): at a likeness of ``alike`` or more the second image is silent on the
    finer levels, at ``unlike`` or less it counts in full, and on the first level itself by half. A PET is an average
    over breathing, and its dome lies elsewhere than its base: on a simulator with that, a PET in full voice beside a
    CT of 14–17 HU of noise that shows the vessels (likeness 1.0–1.2) made the error's 95th percentile 4.5 mm where the
    CT alone gave 2.6; beside a CT that hardly shows them (0.8) it made 3.1 mm 1.9. ``window_mm``: the windows' half
    width, PET's resolution (8 mm is as right as 12 mm on six noisy pairs, and better where the CT shows nothing).
    ``depth_mm``: places nearer to the capsule are left out, where breathing during the PET blurs the liver's border. On
    scenes finer than ``step_mm`` whole blocks of voxels of about that size are compared: a PET shows nothing smaller.
    """

    share: float = 0.5
    quiet: float = 0.36
    noisy: float = 0.40
    unlike: float = 0.8
    alike: float = 1.1
    window_mm: float = 8.0
    depth_mm: float = 2.0
    step_mm: float = 4.0


@dataclass(frozen=True, slots=True)
class DeformSettings:
    """How the free-form deformation runs; the levels are those measured in registration.md.

    ``spacings_mm``, ``knots_mm``, ``blurs_mm`` and ``iterations`` have one entry per level, coarse to fine.
    ``bending`` is in mm² (it multiplies the mean squared second derivative, mm⁻²); ``surface`` multiplies
    the mean squared difference of the clamped distance maps in units of their clamp. How much livers bend differs
    between pairs by a factor of ten, and one weight cannot serve all: it is right for a pair that bends by
    ``expected_bending`` (mm⁻², at that weight); after each level a pair that bends more gets a weight that much
    smaller, down to ``least_bending_share`` of it. ``fluid`` says what a CT's
    windows leave out (None: nothing), ``second`` when a second fixed image (PET) is heard (None: never).
    """

    spacings_mm: tuple[float, ...] = (4.0, 3.0, 2.0)
    knots_mm: tuple[float, ...] = (40.0, 20.0, 15.0)
    blurs_mm: tuple[float, ...] = (2.0, 1.5, 1.5)
    iterations: tuple[int, ...] = (40, 30, 30)
    window_mm: float = 6.0
    margin_mm: float = 4.0
    bending: float = 300.0
    expected_bending: float = 1.5e-5
    least_bending_share: float = 0.15
    surface: float = 0.1
    noise_share: float = 0.05
    pad_mm: float = 24.0
    fluid: FluidSettings | None = field(default_factory=FluidSettings)
    second: SecondSettings | None = field(default_factory=SecondSettings)


@dataclass(frozen=True, slots=True)
class QualitySettings:
    """Limits of the verdict.

    The identity score weighs two independent signs that the two livers are one person's. The first: how far the
    correlation of the liver's inside, ``inner_depth_mm`` or deeper, stands above the chance that the same images give
    laid beside each other: the mean over blocks of the logarithm of their ratio, 0 for no likeness. The second: how
    little the whole map, start and deformation, strains the tissue (root mean square of the logarithmic strain;
    breathing strains a liver by 6–18 %, laying it on another person's by 16–60 %); ``strain_reference`` is neutral,
    and ``strain_share`` the weight that tells 80 right from 87 wrong pairs of five simulators best (native and enhanced
    CT; hepatobiliary and portal phase, T2, DWI). A usable registration scores at least ``usable_score``; below
    ``failed_score`` nothing distinguishes it from another patient's (wrong pairs reach 0.48; right ones whose map is
    off by 3 mm and more, T2 mostly, 0.3–0.75; ordinary right ones 0.8–2.5). Two livers of one shape can be laid on each
    other with little strain (a wrong pair of 250 scored 0.82), but then the finer levels bend the map to follow what is
    not there: from a bending of ``bent_from`` (mm⁻²) on, more is asked, ``bent_score`` from ``bent_wholly`` on. Without
    any mask the whole bodies are compared, which say less and are strained otherwise: ``maskless_strain_share`` (right
    pairs 0.2–0.7, wrong ones up to 0.26), ``maskless_score``, and never more than rigid_only. Below
    ``least_likeness`` (right pairs 0.44 and more, without masks 0.37) the inside shows nothing, and a map without
    strain is no sign of anything. A map that
    bends by more than ``largest_bending`` (mm⁻²; breathing 0.5–6e-5) is trusted only where the images show such a
    motion: at the finest level, whose many control points follow noise as well, the inside must correlate
    ``rough_likeness`` above chance (a logarithm as above), and ``rough_step`` more for every e-fold of bending. On a
    simulator with motion that rough, the five maps beyond this line were right to 1.7–2.1 mm (median; 95 % to 3.5–4.3),
    the twelve below it only to 2–6 mm (4.8–11.5): there the true motion itself correlates less than what is found.
    """

    inner_depth_mm: float = 8.0
    strain_reference: float = 0.15
    strain_share: float = 1.5
    maskless_strain_share: float = 0.7
    usable_score: float = 0.78
    failed_score: float = 0.6
    bent_score: float = 0.9
    bent_from: float = 5e-5
    bent_wholly: float = 1e-4
    maskless_score: float = 0.3
    least_likeness: float = 0.3
    minimal_overlap: float = 0.85
    minimal_seen_ml: float = 150.0
    largest_bending: float = 1.2e-4
    rough_likeness: float = 1.1
    rough_step: float = 0.4
    largest_stretch: float = 1.2
    largest_rotation_deg: float = 30.0


@dataclass(frozen=True, slots=True)
class UncertaintySettings:
    """How the bound is made of its parts.

    bound = ``scale_mm`` × bending^``bending_power`` × inner^−``inner_power`` × local^``local_power``.

    That is the law of a smoothing spline: the error of a smooth map that is estimated from noisy data grows with a
    power of how much the map bends and falls with a power of how much the data show (for three dimensions and second
    derivatives bending^(3/14) and noise^(4/7): Stone, Ann Stat 10, 1982; Wahba, Spline models, 1990). Bending is the
    map's own, in units of 1e-5 mm⁻²; inner the squared correlation of the liver's inside at the first level. Local
    signs, in units of 2.5 mm, say where in a pair the error is larger: the root of the squares of ``floor_mm``, pull,
    ``strain_mm`` × strain, spread and ``drift_share`` × drift over the support. The pull is how far the images would
    still move a place against the smoothness; the strain's error is that of a spline which knows a displacement only
    at its control points, ``strain_mm`` (the finest level's spacing) apart; the spread is the way between the coarsest
    and the finest level's answers, and the drift its mean over the region; a place that has few others around it to
    hold it (support, a share) is uncertain as the mean of few is.

    The powers and the scale were fitted to the 95 % quantile of the error in 65 pairs of five simulators, ordinary and
    hard ones (T2 and DWI, noise, poor masks, half fields of view, 40 mm of motion), every simulator counted alike.
    From pair to pair the ratio of that quantile to the bound scatters by 22 % (that of a sum of the parts, which this
    replaces, by 26 %); of a simulator's places 92 % (the one whose livers bend most) to 99.5 % lie within it, and 92 to
    96 % in each fifth of a pair's places from the surest to the least sure.

    Where only the start is handed over, ``untrusted_share`` × the root mean square of the displacement that was found
    is part of the error: 95 % of random displacements are shorter than 1.6 times that, and what a smooth map finds of a
    motion that it cannot follow is about three quarters of it. For a deformation that is handed over in doubt
    ``doubtful_share`` × the root mean square of what the finest levels add is: on ten pairs of a simulator that the
    verdict doubts, the deformation was off by 2.0–5.2 mm (median; the affine start by 4.1–6.3).

    ``outside_share`` mm are added per mm outside the compared region. Without any liver mask nothing smaller than
    ``maskless_mm`` is stated: the bodies alone are laid on each other, and breathing moves the liver inside them by
    that much.
    """

    scale_mm: float = 0.88
    bending_power: float = 0.2
    inner_power: float = 0.5
    local_power: float = 0.5
    floor_mm: float = 0.85
    drift_share: float = 3.0
    strain_mm: float = 15.0
    untrusted_share: float = 2.2
    doubtful_share: float = 3.0
    outside_share: float = 0.2
    maskless_mm: float = 25.0
    largest_mm: float = 40.0


@dataclass(frozen=True, slots=True)
class RegisterSettings:
    """Everything about a registration that can be chosen."""

    start: StartSettings = field(default_factory=StartSettings)
    along: AlongSettings = field(default_factory=AlongSettings)
    deform: DeformSettings = field(default_factory=DeformSettings)
    quality: QualitySettings = field(default_factory=QualitySettings)
    uncertainty: UncertaintySettings = field(default_factory=UncertaintySettings)
