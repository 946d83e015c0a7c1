"""Write tiny nnU-Net v2 model folders whose networks are set by hand, so that their answer is known exactly.

The network sees HU (no scaling) and thresholds: background below 80, "liver" from 80 to 150, "spleen" above. Before
that it moves the image by one voxel towards higher indices of its last array axis, which tells which way that axis ran.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["LIVER_FROM", "SPLEEN_FROM", "write_toy_model"]

LIVER_FROM, SPLEEN_FROM = 80.0, 150.0
#: nnU-Net adds up weighted logits in half precision: they must stay small.
LOGIT_SCALE = 0.01
#: Two resolution levels with two features each: the least that nnU-Net's plain U-Net is made of.
ARCHITECTURE: dict[str, Any] = {
    "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
    "arch_kwargs": {
        "n_stages": 2,
        "features_per_stage": [2, 2],
        "conv_op": "torch.nn.modules.conv.Conv3d",
        "kernel_sizes": [[3, 3, 3], [3, 3, 3]],
        "strides": [[1, 1, 1], [2, 2, 2]],
        "n_conv_per_stage": [1, 1],
        "n_conv_per_stage_decoder": [1],
        "conv_bias": True,
        "norm_op": None,
        "norm_op_kwargs": None,
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    },
    "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
}
RESAMPLING = {"order": 1, "order_z": 0, "force_separate_z": None}


def _plans(spacing: tuple[float, ...], reader: str, scheme: str) -> dict[str, Any]:
    configuration = {
        "data_identifier": "nnUNetPlans_3d_fullres",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 1,
        "patch_size": [32, 32, 32],
        "spacing": list(spacing),
        "normalization_schemes": [scheme],
        "use_mask_for_norm": [False],
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": {"is_seg": False, **RESAMPLING},
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_seg_kwargs": {"is_seg": True, **RESAMPLING},
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": {"is_seg": False, **RESAMPLING},
        "architecture": ARCHITECTURE,
    }
    intensities = {"mean": 0.0, "std": 1.0, "percentile_00_5": -1000.0, "percentile_99_5": 1000.0}
    return {
        "dataset_name": "Dataset999_Toy",
        "plans_name": "nnUNetPlans",
        "image_reader_writer": reader,
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {"0": intensities},
        "configurations": {"3d_fullres": configuration},
    }


def _weights(labels: dict[str, int], shift: bool) -> dict[str, Any]:
    """The state of the network, everything 0 but the few taps that threshold."""
    import torch
    from dynamic_network_architectures.architectures.unet import PlainConvUNet

    settings = {key: value for key, value in ARCHITECTURE["arch_kwargs"].items() if key not in ("conv_op", "nonlin")}
    network = PlainConvUNet(
        input_channels=1,
        num_classes=len(labels),
        conv_op=torch.nn.Conv3d,
        nonlin=torch.nn.LeakyReLU,
        deep_supervision=False,
        **settings,
    )
    state = {name: torch.zeros_like(value) for name, value in network.state_dict().items()}
    for name, value in state.items():
        if "encoder.stages.0" in name and name.endswith(".weight") and value.ndim == 5:
            value[0, 0, 1, 1, 0 if shift else 1] = 1.0
        if name.startswith("decoder.stages.0") and name.endswith(".weight") and value.ndim == 5:
            value[0, 2, 1, 1, 1] = 1.0  # after the two features from below comes the skip connection
        if name.startswith("decoder.seg_layers.0") and name.endswith("weight"):
            value[labels["liver"], 0] = LOGIT_SCALE
            value[labels["spleen"], 0] = 3.0 * LOGIT_SCALE
        if name.startswith("decoder.seg_layers.0") and name.endswith("bias"):
            value[:] = -20.0
            value[0] = 0.0
            value[labels["liver"]] = -LIVER_FROM * LOGIT_SCALE
            value[labels["spleen"]] = (-2.0 * SPLEEN_FROM - LIVER_FROM) * LOGIT_SCALE
    return state


def write_toy_model(
    folder: Path,
    *,
    labels: dict[str, int] | None = None,
    spacing: tuple[float, ...] = (3.0, 2.0, 2.0),
    reader: str = "NibabelIOWithReorient",
    channel: str = "CT",
    scheme: str = "CTNormalization",
    trainer: str = "nnUNetTrainer",
    mirroring: tuple[int, ...] | None = None,
    shift: bool = False,
    folds: tuple[int, ...] = (0,),
) -> Path:
    """A model folder at ``folder``; ``spacing`` is of its array axes (k, j, i), ``labels`` holds liver and spleen."""
    import torch

    labels = labels or {"background": 0, "spleen": 1, "liver": 2}
    folder.mkdir(parents=True)
    dataset = {"channel_names": {"0": channel}, "labels": labels, "numTraining": 1, "file_ending": ".nii.gz"}
    (folder / "dataset.json").write_text(json.dumps(dataset))
    (folder / "plans.json").write_text(json.dumps(_plans(spacing, reader, scheme)))
    checkpoint = {
        "network_weights": _weights(labels, shift),
        "trainer_name": trainer,
        "init_args": {"configuration": "3d_fullres"},
        "inference_allowed_mirroring_axes": mirroring,
        "logging": {"loss": [float(np.float64(0.1))]},
    }
    for fold in folds:
        (folder / f"fold_{fold}").mkdir()
        torch.save(checkpoint, folder / f"fold_{fold}" / "checkpoint_final.pth")
    return folder
