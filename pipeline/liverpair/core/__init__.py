"""Units, geometry, volumes, studies, lesions, errors and provenance; knows numpy and nothing else."""
