"""Results to DICOM objects. Pure: no sockets, no torch."""
