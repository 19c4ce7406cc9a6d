"""echonode: a DICOM node for the echo lab that stores every study, runs models on it and returns the results."""

__version__ = "0.1.0"
