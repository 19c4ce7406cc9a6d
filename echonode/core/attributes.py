"""The attributes that the node indexes and answers queries with, each at its level (PS3.4 C.6.1.1, C.6.2.1)."""

from __future__ import annotations

from dataclasses import dataclass

from echonode.core.query import Level


@dataclass(frozen=True, slots=True)
class Attribute:
    """One indexed attribute: its keyword, its tag as 8 hex digits in capitals, its VR and its level."""

    keyword: str
    tag: str
    vr: str
    level: Level

    @property
    def number(self) -> int:
        """The tag as a number."""
        return int(self.tag, 16)


_ROWS = {
    Level.PATIENT: """
        PatientName 00100010 PN
        PatientID 00100020 LO
        IssuerOfPatientID 00100021 LO
        PatientBirthDate 00100030 DA
        PatientBirthTime 00100032 TM
        PatientSex 00100040 CS
        OtherPatientNames 00101001 PN
        EthnicGroup 00102160 SH
        PatientSpeciesDescription 00102201 LO
        PatientComments 00104000 LT
        PatientIdentityRemoved 00120062 CS
    """,
    Level.STUDY: """
        StudyInstanceUID 0020000D UI
        StudyDate 00080020 DA
        StudyTime 00080030 TM
        AccessionNumber 00080050 SH
        StudyID 00200010 SH
        StudyDescription 00081030 LO
        ReferringPhysicianName 00080090 PN
        NameOfPhysiciansReadingStudy 00081060 PN
        AdmittingDiagnosesDescription 00081080 LO
        PatientAge 00101010 AS
        PatientSize 00101020 DS
        PatientWeight 00101030 DS
    """,
    Level.SERIES: """
        SeriesInstanceUID 0020000E UI
        Modality 00080060 CS
        SeriesNumber 00200011 IS
        SeriesDescription 0008103E LO
        SeriesDate 00080021 DA
        SeriesTime 00080031 TM
        BodyPartExamined 00180015 CS
        Laterality 00200060 CS
        ProtocolName 00181030 LO
        OperatorsName 00081070 PN
        PerformingPhysicianName 00081050 PN
        PerformedProcedureStepStartDate 00400244 DA
        PerformedProcedureStepStartTime 00400245 TM
        PerformedProcedureStepID 00400253 SH
        PerformedProcedureStepDescription 00400254 LO
        InstitutionName 00080080 LO
        InstitutionalDepartmentName 00081040 LO
        StationName 00081010 SH
        Manufacturer 00080070 LO
        ManufacturerModelName 00081090 LO
        DeviceSerialNumber 00181000 LO
        SoftwareVersions 00181020 LO
    """,
    Level.IMAGE: """
        SOPInstanceUID 00080018 UI
        SOPClassUID 00080016 UI
        InstanceNumber 00200013 IS
        ImageType 00080008 CS
        ContentDate 00080023 DA
        ContentTime 00080033 TM
        AcquisitionDate 00080022 DA
        AcquisitionTime 00080032 TM
        AcquisitionDateTime 0008002A DT
        InstanceCreationDate 00080012 DA
        InstanceCreationTime 00080013 TM
        NumberOfFrames 00280008 IS
        SamplesPerPixel 00280002 US
        PhotometricInterpretation 00280004 CS
        Rows 00280010 US
        Columns 00280011 US
        BitsAllocated 00280100 US
        BurnedInAnnotation 00280301 CS
        LossyImageCompression 00282110 CS
        FrameTime 00181063 DS
        CineRate 00180040 IS
        RecommendedDisplayFrameRate 00082144 IS
        HeartRate 00181088 IS
        StageName 00082120 SH
        StageNumber 00082122 IS
        ViewName 00082127 SH
        ViewNumber 00082128 IS
        DerivationDescription 00082111 ST
        ImageComments 00204000 LT
        CompletionFlag 0040A491 CS
        VerificationFlag 0040A493 CS
        DocumentTitle 00420010 ST
        ContentLabel 00700080 CS
        ContentDescription 00700081 LO
    """,
}

ATTRIBUTES: dict[str, Attribute] = {
    keyword: Attribute(keyword, tag, vr, level)
    for level, rows in _ROWS.items()
    for keyword, tag, vr in (line.split() for line in rows.strip().splitlines())
}
"""Every indexed attribute by its keyword."""

COMPUTED: dict[str, tuple[str, str, Level]] = {
    "NumberOfPatientRelatedStudies": ("00201200", "IS", Level.PATIENT),
    "NumberOfPatientRelatedSeries": ("00201202", "IS", Level.PATIENT),
    "NumberOfPatientRelatedInstances": ("00201204", "IS", Level.PATIENT),
    "NumberOfStudyRelatedSeries": ("00201206", "IS", Level.STUDY),
    "NumberOfStudyRelatedInstances": ("00201208", "IS", Level.STUDY),
    "ModalitiesInStudy": ("00080061", "CS", Level.STUDY),
    "SOPClassesInStudy": ("00080062", "UI", Level.STUDY),
    "NumberOfSeriesRelatedInstances": ("00201209", "IS", Level.SERIES),
}
"""Keywords that are computed when asked for -> tag, VR, level that they describe."""

UNIQUE_KEYS: dict[Level, str] = {
    Level.PATIENT: "PatientID",
    Level.STUDY: "StudyInstanceUID",
    Level.SERIES: "SeriesInstanceUID",
    Level.IMAGE: "SOPInstanceUID",
}
"""The unique key of each level."""

LEVELS: tuple[Level, ...] = (Level.PATIENT, Level.STUDY, Level.SERIES, Level.IMAGE)
"""The levels from the top."""
