"""One registration by one method, in a process of its own, so that its time and memory are its own.

python -m benchmarks.registration_peers METHOD FOLDER

FOLDER holds what every method gets: ct.nii.gz, mr.nii.gz, liver_ct.nii.gz, liver_mr.nii.gz (automatic masks) and
points.npy, (n, 3) LPS mm in the CT. Left there: METHOD.npy, the same points in the MRI, and METHOD.json with the wall
seconds of the registration itself (reading, imports and the mapping of the points are not counted) and the peak
memory of the process when it ended.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import SimpleITK as sitk  # noqa: N813 - the name its own documentation uses
from numpy.typing import NDArray

Points = NDArray[np.float64]
#: A method registers and hands over how to map points, and the seconds that the registration took.
Mapped = tuple[Callable[[Points], Points], float]

#: Every peer gets both processor cores of the machine that the targets are stated for.
THREADS: Final = 2
#: Control grid of the B-spline peers, mm (registration.md).
KNOTS_MM: Final = 40.0
#: Soft tissue window of the CT: bone and air would rule a global metric.
CT_WINDOW: Final = (-100.0, 250.0)


def _images(folder: Path) -> tuple[sitk.Image, sitk.Image, sitk.Image, sitk.Image]:
    """CT (windowed), MRI and both livers, in SimpleITK's LPS."""
    read = {name: sitk.ReadImage(str(folder / f"{name}.nii.gz")) for name in ("ct", "mr", "liver_ct", "liver_mr")}
    ct = sitk.Clamp(sitk.Cast(read["ct"], sitk.sitkFloat32), sitk.sitkFloat32, *CT_WINDOW)
    livers = [sitk.Cast(read[name] > 0, sitk.sitkUInt8) for name in ("liver_ct", "liver_mr")]
    return ct, sitk.Cast(read["mr"], sitk.sitkFloat32), livers[0], livers[1]


def _centroid(mask: sitk.Image) -> Points:
    statistics = sitk.LabelShapeStatisticsImageFilter()
    statistics.Execute(mask)
    return np.array(statistics.GetCentroid(1))


def _cropped(image: sitk.Image, mask: sitk.Image, margin_mm: float = 20.0) -> sitk.Image:
    """The box around the liver: what every method is given, as every user of them would."""
    statistics = sitk.LabelShapeStatisticsImageFilter()
    statistics.Execute(mask)
    box = statistics.GetBoundingBox(1)
    margin = [int(np.ceil(margin_mm / s)) for s in image.GetSpacing()]
    low = [max(0, box[a] - margin[a]) for a in range(3)]
    high = [min(image.GetSize()[a], box[a] + box[3 + a] + margin[a]) for a in range(3)]
    return image[low[0] : high[0], low[1] : high[1], low[2] : high[2]]


def _dilated(mask: sitk.Image, millimetres: float = 4.0) -> sitk.Image:
    return sitk.SignedMaurerDistanceMap(mask, insideIsPositive=False, squaredDistance=False, useImageSpacing=True) < (
        millimetres
    )


def _distance(mask: sitk.Image) -> sitk.Image:
    """Signed distance to the liver's surface in mm, clamped to ±15 mm (registration.md)."""
    distance = sitk.SignedMaurerDistanceMap(mask, insideIsPositive=True, squaredDistance=False, useImageSpacing=True)
    return sitk.Clamp(distance, sitk.sitkFloat32, -15.0, 15.0)


def _by_transform(transform: sitk.Transform) -> Callable[[Points], Points]:
    return lambda points: np.array([transform.TransformPoint([float(c) for c in p]) for p in points])


def centroids(folder: Path) -> Mapped:
    """The shift between the livers' centroids."""
    _, _, liver_ct, liver_mr = _images(folder)
    started = time.perf_counter()
    shift = _centroid(liver_mr) - _centroid(liver_ct)
    return (lambda points: points + shift), time.perf_counter() - started


def _moved_to_start(folder: Path) -> tuple[sitk.Image, sitk.Image, sitk.Image, sitk.Image, Points]:
    """Cropped images with the MRI's origin shifted so that the livers' centroids coincide."""
    ct, mr, liver_ct, liver_mr = _images(folder)
    ct, liver_ct = _cropped(ct, liver_ct), _cropped(liver_ct, liver_ct)
    mr, liver_mr = _cropped(mr, liver_mr), _cropped(liver_mr, liver_mr)
    shift = _centroid(liver_mr) - _centroid(liver_ct)
    for image in (mr, liver_mr):
        image.SetOrigin(tuple(np.array(image.GetOrigin()) - shift))
    return ct, mr, liver_ct, liver_mr, shift


def simpleitk(folder: Path) -> Mapped:
    """SimpleITK: mutual information, affine, then a B-spline of 40 mm, inside the liver + 4 mm."""
    ct, mr, liver_ct, _, shift = _moved_to_start(folder)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(THREADS)
    started = time.perf_counter()
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(50)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(0.2, 1)
    method.SetMetricFixedMask(_dilated(liver_ct))
    method.SetInterpolator(sitk.sitkLinear)
    method.SetShrinkFactorsPerLevel([4, 2])
    method.SetSmoothingSigmasPerLevel([3, 1.5])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    affine = sitk.AffineTransform(3)
    affine.SetCenter(_centroid(liver_ct).tolist())
    method.SetOptimizerAsRegularStepGradientDescent(1.0, 1e-3, 100)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(affine, inPlace=True)
    method.Execute(ct, mr)
    extent = np.array(ct.GetSize()) * np.array(ct.GetSpacing())
    spline = sitk.BSplineTransformInitializer(ct, [int(round(e / KNOTS_MM)) for e in extent], 3)
    method.SetMovingInitialTransform(affine)
    method.SetInitialTransform(spline, inPlace=True)
    method.SetOptimizerAsLBFGSB(1e-5, 60)
    method.Execute(ct, mr)
    wall = time.perf_counter() - started
    map_spline, map_affine = _by_transform(spline), _by_transform(affine)
    return (lambda points: map_affine(map_spline(points)) + shift), wall


def elastix(folder: Path) -> Mapped:
    """itk-elastix: its default affine, then mutual information with a B-spline of 40 mm."""
    import itk

    ct, mr, liver_ct, _, shift = _moved_to_start(folder)

    def as_itk(image: sitk.Image, kind: Any) -> Any:
        array = sitk.GetArrayFromImage(image)
        out = itk.image_from_array(np.ascontiguousarray(array.astype(kind)))
        out.SetOrigin(image.GetOrigin())
        out.SetSpacing(image.GetSpacing())
        out.SetDirection(np.array(image.GetDirection()).reshape(3, 3))
        return out

    parameters = itk.ParameterObject.New()
    parameters.AddParameterMap(parameters.GetDefaultParameterMap("affine", 3))
    deform = parameters.GetDefaultParameterMap("bspline", 3)
    deform["Metric"] = ("AdvancedMattesMutualInformation", "TransformBendingEnergyPenalty")
    deform["Metric0Weight"], deform["Metric1Weight"] = ("1.0",), ("1.0",)
    deform["FinalGridSpacingInPhysicalUnits"] = (str(KNOTS_MM),)
    deform["MaximumNumberOfIterations"] = ("300",)
    parameters.AddParameterMap(deform)
    for n in range(2):
        parameters.SetParameter(n, "ErodeMask", "false")
    fixed, moving, mask = as_itk(ct, np.float32), as_itk(mr, np.float32), as_itk(_dilated(liver_ct), np.uint8)
    started = time.perf_counter()
    _, found = itk.elastix_registration_method(
        fixed, moving, fixed_mask=mask, parameter_object=parameters, log_to_console=False
    )
    wall = time.perf_counter() - started
    dense = itk.transformix_deformation_field(fixed, found)
    image = sitk.GetImageFromArray(np.asarray(itk.array_from_image(dense), dtype=np.float64), isVector=True)
    image.CopyInformation(ct)
    map_field = _by_transform(sitk.DisplacementFieldTransform(image))
    return (lambda points: map_field(points) + shift), wall


def ants(folder: Path) -> Mapped:
    """ANTsPy: affine, then SyN with cross-correlation (radius 3, 60/40/20 iterations), inside the liver + 4 mm."""
    import ants as antspy
    import pandas as pd

    ct, mr, liver_ct, _, shift = _moved_to_start(folder)

    def as_ants(image: sitk.Image) -> Any:
        array = sitk.GetArrayFromImage(image).transpose(2, 1, 0).astype(np.float32)
        direction = np.array(image.GetDirection()).reshape(3, 3)
        return antspy.from_numpy(array, list(image.GetOrigin()), list(image.GetSpacing()), direction)

    fixed, moving, mask = as_ants(ct), as_ants(mr), as_ants(_dilated(liver_ct))
    started = time.perf_counter()
    found = antspy.registration(
        fixed, moving, "SyN", mask=mask, mask_all_stages=True, initial_transform="Identity", syn_metric="CC",
        syn_sampling=3, reg_iterations=(60, 40, 20), outprefix=str(folder / "ants_"), random_seed=1,
    )  # fmt: skip
    wall = time.perf_counter() - started

    def map_points(points: Points) -> Points:
        table = pd.DataFrame(points, columns=["x", "y", "z"])
        moved = antspy.apply_transforms_to_points(3, table, found["fwdtransforms"])
        return np.asarray(moved[["x", "y", "z"]].to_numpy() + shift)

    return map_points, wall


def greedy(folder: Path) -> Mapped:
    """greedy: an affine on the livers' distance maps, then deformable with weighted cross-correlation.

    The best of the set-ups tried: an affine on the images strays, larger windows or stiffer smoothing do worse.
    """
    from picsl_greedy import Greedy3D

    ct, mr, liver_ct, liver_mr, shift = _moved_to_start(folder)
    mask = sitk.Cast(_dilated(liver_ct), sitk.sitkFloat32)
    engine = Greedy3D()
    started = time.perf_counter()
    engine.execute(
        f"-threads {THREADS} -m SSD -i near far -a -ia-identity -n 60x40x10 -o affine",
        near=_distance(liver_ct), far=_distance(liver_mr), affine=None,
    )  # fmt: skip
    engine.execute(
        f"-threads {THREADS} -m WNCC 2x2x2 -gm mask -i fixed moving -it affine -n 100x60x20 -s 2vox 1vox -o warp",
        fixed=ct, moving=mr, mask=mask, warp=None,
    )  # fmt: skip
    wall = time.perf_counter() - started
    engine.execute("-threads 2 -rf fixed -r warp affine -rc composite", composite=None)
    field = sitk.Cast(engine["composite"], sitk.sitkVectorFloat64)
    map_field = _by_transform(sitk.DisplacementFieldTransform(field))
    return (lambda points: map_field(points) + shift), wall


def liverpair(folder: Path) -> Mapped:
    """Ours, with the settings that a study runs with."""
    from liverpair.core.units import Unit
    from liverpair.core.volume import Mask, Volume
    from liverpair.dicom.nifti import read_nifti
    from liverpair.flow.engine import start_worker
    from liverpair.register.align import register

    start_worker()
    images = {name: read_nifti(folder / f"{name}.nii.gz") for name in ("ct", "mr", "liver_ct", "liver_mr")}
    ct = Volume(images["ct"].values, images["ct"].grid, Unit.HOUNSFIELD)
    livers = [Mask(images[name].values > 0, images[name].grid) for name in ("liver_ct", "liver_mr")]
    started = time.perf_counter()
    found = register(ct, images["mr"], *livers)
    wall = time.perf_counter() - started
    if found.transform is None:
        raise RuntimeError("; ".join(found.reasons))
    return found.transform.to_moving, wall


METHODS: Final[dict[str, Callable[[Path], Mapped]]] = {
    "liverpair": liverpair,
    "centroids": centroids,
    "simpleitk": simpleitk,
    "elastix": elastix,
    "greedy": greedy,
    "ants": ants,
}


def _peak_mb() -> float:
    """Highest resident memory of this process so far, MB. (ru_maxrss of a child starts at its parent's.)"""
    status = Path("/proc/self/status").read_text()
    return float(status.split("VmHWM:")[1].split()[0]) / 1024


def main(method: str, folder: Path) -> None:
    """Register, map the points, and leave both answers in the folder."""
    map_points, wall = METHODS[method](folder)
    peak = _peak_mb()
    np.save(folder / f"{method}.npy", map_points(np.load(folder / "points.npy")))
    (folder / f"{method}.json").write_text(json.dumps({"wall_s": wall, "peak_mb": peak}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
