"""Every error that echonode raises on purpose, with the DICOM status and HTTP code that its edges answer.

Statuses: PS3.4 B.2.3 (C-STORE), C.4.1.1.4 (C-FIND), C.4.2.1.5 (C-MOVE), PS3.7 annex C.
Translation happens once an edge: nobody else looks at `dicom_status` or `http_status`.
"""

from __future__ import annotations


class EchonodeError(Exception):
    """Something that a person can act on; `str(error)` is one line: what, where, and what was expected."""

    dicom_status: int = 0xC000
    http_status: int = 500
    exit_code: int = 1


class BadInput(EchonodeError):
    """A file, argument or request cannot be used as it is."""

    dicom_status = 0xC000
    http_status = 400
    exit_code = 2


class ConfigurationError(BadInput):
    """A configuration file has a wrong key, type or value; the message names file, key and what was expected."""


class UnreadableObject(BadInput):
    """The bytes are no DICOM object, are cut off, or lack the UIDs that name them (C-STORE C000H)."""

    dicom_status = 0xC000


class ObjectMismatch(BadInput):
    """Command and data set name different objects or classes (C-STORE A900H)."""

    dicom_status = 0xA900
    http_status = 409


class UnsupportedClass(BadInput):
    """The SOP class is not one that this node stores (0122H)."""

    dicom_status = 0x0122
    http_status = 409


class ConflictingDuplicate(EchonodeError):
    """The SOP Instance UID is known with other pixels: the first is kept, this one is quarantined (0111H)."""

    dicom_status = 0x0111
    http_status = 409


class OutOfStorage(EchonodeError):
    """Too little room to store safely; nothing was kept (A700H)."""

    dicom_status = 0xA700
    http_status = 507


class StorageUnavailable(EchonodeError):
    """The disk or the database does not take writes now; the sender should try again (A700H)."""

    dicom_status = 0xA700
    http_status = 503


class BudgetExceeded(BadInput):
    """Decoding would need more memory, frames or depth than the limits allow."""

    dicom_status = 0xC000
    http_status = 413


class Undecodable(BadInput):
    """The pixel data cannot be decoded, with the reason."""

    dicom_status = 0xC000
    http_status = 406


class BadQuery(BadInput):
    """The identifier of a query does not fit its level or its information model (A900H)."""

    dicom_status = 0xA900


class NotAuthorised(EchonodeError):
    """The caller is unknown or lacks the right (0124H)."""

    dicom_status = 0x0124
    http_status = 403
    exit_code = 2


class UnknownDestination(BadInput):
    """The move destination or delivery target is not in peers.toml (A801H)."""

    dicom_status = 0xA801
    http_status = 404


class NotFound(BadInput):
    """No stored object, study, workitem, model or route has that name."""

    dicom_status = 0x0112
    http_status = 404


class DeliveryFailed(EchonodeError):
    """A destination did not take an object; `transient` says whether trying again can help."""

    def __init__(self, message: str, *, transient: bool = True) -> None:
        super().__init__(message)
        self.transient = transient


class CheckpointRefused(BadInput):
    """A weights file is not what it claims to be; nothing was written."""


class PackageInvalid(BadInput):
    """A model package's manifest, digest or tensors are wrong."""


class RunFailed(EchonodeError):
    """A runner crashed, timed out or ran out of memory; `transient` says whether another attempt can help."""

    def __init__(self, message: str, *, transient: bool = True) -> None:
        super().__init__(message)
        self.transient = transient


class IllegalTransition(EchonodeError):
    """A workitem was asked for an event that its state does not know."""

    http_status = 409


class ProtocolViolation(BadInput):
    """A peer's bytes break PS3.7 or PS3.8 so that the association cannot go on; it is aborted."""


class NotAcceptable(BadInput):
    """Nothing that the client accepts can be made of what it asked for; the message names what could be had."""

    http_status = 406


class TooLarge(BadInput):
    """A request is larger than the limit that its setting names."""

    http_status = 413


class TooSlow(BadInput):
    """A request stayed silent in the middle of its body."""

    http_status = 408


class UnsupportedMedia(BadInput):
    """A request carries a media type or an encoding that is not taken here."""

    http_status = 415


class Unauthenticated(NotAuthorised):
    """The request carries no token, or one that is not known."""

    http_status = 401
