"""Slices of NIfTI volumes and DICOM series."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest

from bench.errors import DataError
from tests.data.test_layouts import SIZE, mask, read, sizes


def nifti(file: Path, values: np.ndarray[Any, Any]) -> None:
    """A volume (slices, H, W), stored as (W, H, slices)."""
    file.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(values.transpose(2, 1, 0), np.eye(4)), file)


def volumes(root: Path, ending: str, count: int = 6, slices: int = 4) -> None:
    for i in range(count):
        values = np.zeros((slices, SIZE, SIZE), np.int16)
        values[:] = (100 * i + 10 * np.arange(slices))[:, None, None] - 200
        labels = np.zeros((slices, SIZE, SIZE), np.uint8)
        for k in range(slices):
            labels[k, :, i] = 1
            labels[k, k, :] = 1
        nifti(root / f"scans/case{i}{ending}", values)
        nifti(root / f"labels/case{i}{ending}", labels)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_slices_are_samples_and_volumes_groups(ending: str, tmp_path: Path) -> None:
    volumes(tmp_path, ending)
    found = read(
        tmp_path,
        images=f"scans/{{stem}}{ending}",
        masks=f"labels/{{stem}}{ending}",
        channels=[0],
        normalize="unit",
        window="full",
    )
    assert sizes(found) == (16, 4, 4)
    for split in found.splits.values():
        assert split.masks is not None
        for name, pixels, labels in zip(split.names, split.images, split.masks, strict=True):
            case, number = int(name[4]), int(name[-3:])
            assert found.window.zero + int(pixels[0, 0, 0]) == 100 * case + 10 * number - 200
            assert labels[number].all()
            assert labels[:, case].all()
            assert labels.sum() == 2 * SIZE - 1
        assert len(set(split.groups)) == len(split) / 4


def test_a_volume_that_cannot_be_read(tmp_path: Path) -> None:
    volumes(tmp_path, ".nii.gz")
    (tmp_path / "scans/case3.nii.gz").write_bytes(b"no volume")
    settings: Any = {"images": "scans/{stem}.nii.gz", "masks": "labels/{stem}.nii.gz"}
    with pytest.raises(DataError, match=r"case3\.nii\.gz: cannot be read as a NIfTI volume"):
        read(tmp_path, **settings)


def dicom(file: Path, values: np.ndarray[Any, Any], slope: float = 1, zero: float = 0) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    meta = pydicom.dataset.FileMetaDataset()
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = pydicom.uid.CTImageStorage
    meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    data = pydicom.dataset.FileDataset(str(file), {}, file_meta=meta, preamble=b"\0" * 128)
    data.Rows, data.Columns = values.shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.PixelRepresentation = 15, 0
    data.RescaleSlope, data.RescaleIntercept = slope, zero
    data.PixelData = values.astype(np.uint16).tobytes()
    data.save_as(file, enforce_file_format=True)


def test_dicom_is_read_in_its_units(tmp_path: Path) -> None:
    for i in range(10):
        dicom(tmp_path / f"ct/{i}.dcm", np.full((SIZE, SIZE), 1024 + i), zero=-1024)
        mask(tmp_path / f"masks/{i}.png", i)
    found = read(tmp_path, images="ct/{stem}.dcm", masks="masks/{stem}.png", window=[-100, 100])
    assert found.window.kind == "int16"
    split = found.splits["train"]
    for name, pixels in zip(split.names, split.images, strict=True):
        assert found.window.zero + int(pixels[0, 0, 0]) == int(name)


def test_a_broken_dicom_is_one_line(tmp_path: Path) -> None:
    for i in range(10):
        mask(tmp_path / f"masks/{i}.png", i)
        (tmp_path / "ct").mkdir(exist_ok=True)
        (tmp_path / f"ct/{i}.dcm").write_bytes(b"no DICOM")
    with pytest.raises(DataError, match="cannot be read as DICOM") as caught:
        read(tmp_path, images="ct/{stem}.dcm", masks="masks/{stem}.png")
    assert "\n" not in str(caught.value)
