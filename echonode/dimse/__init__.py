"""Network edge 1: every DICOM association, no decisions."""
