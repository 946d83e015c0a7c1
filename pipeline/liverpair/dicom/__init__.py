"""DICOM in: find, index, split, read, quantify, select and pair; the only room (with its oracle) that knows pydicom."""
