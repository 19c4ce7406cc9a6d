"""What this node stores, from whichever edge: SOP classes and transfer syntaxes as plain tables (PS3.4 B.5, PS3.5 A)."""

from __future__ import annotations

from types import MappingProxyType

from echonode.core.settings import DimseSection

_STORAGE = "1.2.840.10008.5.1.4.1.1."
ULTRASOUND_MULTIFRAME = _STORAGE + "3.1"
SEGMENTATION = _STORAGE + "66.4"
ENCAPSULATED_PDF = _STORAGE + "104.1"
STORAGE_CLASSES = MappingProxyType(
    {
        _STORAGE + suffix: name
        for suffix, name in {
            "3.1": "Ultrasound Multi-frame Image Storage",
            "6.1": "Ultrasound Image Storage",
            "3": "Ultrasound Multi-frame Image Storage (Retired)",
            "6": "Ultrasound Image Storage (Retired)",
            "6.2": "Enhanced US Volume Storage",
            "7": "Secondary Capture Image Storage",
            "7.1": "Multi-frame Single Bit Secondary Capture Image Storage",
            "7.2": "Multi-frame Grayscale Byte Secondary Capture Image Storage",
            "7.3": "Multi-frame Grayscale Word Secondary Capture Image Storage",
            "7.4": "Multi-frame True Color Secondary Capture Image Storage",
            "88.11": "Basic Text SR Storage",
            "88.22": "Enhanced SR Storage",
            "88.33": "Comprehensive SR Storage",
            "88.34": "Comprehensive 3D SR Storage",
            "88.35": "Extensible SR Storage",
            "88.40": "Procedure Log Storage",
            "88.59": "Key Object Selection Document Storage",
            "88.65": "Chest CAD SR Storage",
            "88.67": "X-Ray Radiation Dose SR Storage",
            "88.72": "Simplified Adult Echo SR Storage",
            "11.1": "Grayscale Softcopy Presentation State Storage",
            "11.2": "Color Softcopy Presentation State Storage",
            "11.3": "Pseudo-Color Softcopy Presentation State Storage",
            "11.4": "Blending Softcopy Presentation State Storage",
            "66": "Raw Data Storage",
            "66.1": "Spatial Registration Storage",
            "66.4": "Segmentation Storage",
            "66.5": "Surface Segmentation Storage",
            "67": "Real World Value Mapping Storage",
            "9.1.1": "12-lead ECG Waveform Storage",
            "9.1.2": "General ECG Waveform Storage",
            "9.1.3": "Ambulatory ECG Waveform Storage",
            "9.2.1": "Hemodynamic Waveform Storage",
            "9.3.1": "Cardiac Electrophysiology Waveform Storage",
            "9.4.1": "Basic Voice Audio Waveform Storage",
            "9.5.1": "Arterial Pulse Waveform Storage",
            "9.6.1": "Respiratory Waveform Storage",
            "77.1.1.1": "Video Endoscopic Image Storage",
            "77.1.4": "VL Photographic Image Storage",
            "77.1.4.1": "Video Photographic Image Storage",
            "104.1": "Encapsulated PDF Storage",
            "104.2": "Encapsulated CDA Storage",
        }.items()
    }
)
"""Every class of the echo lab, the retired ultrasound ones included: GE, Philips and Siemens still list them."""

IMPLICIT_LE = "1.2.840.10008.1.2"
EXPLICIT_LE = "1.2.840.10008.1.2.1"
DEFLATED_LE = "1.2.840.10008.1.2.1.99"
EXPLICIT_BE = "1.2.840.10008.1.2.2"
UNCOMPRESSED = (EXPLICIT_LE, IMPLICIT_LE, EXPLICIT_BE)
_SYNTAX = "1.2.840.10008.1.2."
COMPRESSED = tuple(
    _SYNTAX + suffix
    for suffix in (
        *("5", "4.50", "4.51", "4.57", "4.70", "4.80", "4.81", "4.90", "4.91", "4.92", "4.93"),
        *("4.201", "4.202", "4.203"),
        *("4.100", "4.100.1", "4.101", "4.101.1", "4.102", "4.102.1", "4.103", "4.103.1", "4.104", "4.104.1"),
        *("4.105", "4.105.1", "4.106", "4.106.1", "4.107", "4.108"),
        "1.98",
    )
)
"""RLE, JPEG, JPEG-LS, JPEG 2000, HTJ2K, MPEG-2, H.264, HEVC and encapsulated uncompressed."""


def storage_syntaxes(*, deflate: bool) -> frozenset[str]:
    """Transfer syntaxes in which objects are received; what cannot be decoded is stored all the same."""
    return frozenset((*UNCOMPRESSED, *COMPRESSED, *((DEFLATED_LE,) if deflate else ())))


def storable(settings: DimseSection) -> frozenset[str]:
    """SOP classes that this node stores, private ones that the site names included."""
    return frozenset(STORAGE_CLASSES) | frozenset(settings.private_classes)
