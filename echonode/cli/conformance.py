"""docs/conformance.md: the DICOM conformance statement (PS3.2), written from the tables that negotiate."""

from __future__ import annotations

from collections.abc import Iterable

from pydicom.uid import UID

from echonode import __version__
from echonode.core.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from echonode.core.settings import DimseSection, NodeSection, WebSection
from echonode.dimse import classes
from echonode.web.operations import UIDS, operations

HEAD = """\
# DICOM conformance statement

Written by `echonode reference conformance` from the tables that the node negotiates with; a test holds this page to
them. It describes version {version} with the shipped settings; `node.toml` and `peers.toml` can narrow or widen it.

echonode is for research use only and is not a medical device.
"""
STATUSES = (
    ("C-STORE", "0000H", "stored; durable and indexed before this is said; also for the same object once more, and for a "
     "second version with the same pixels"),
    ("C-STORE", "0111H",
     "another object with this SOP Instance UID and other pixels is here: the first is kept, this one is in quarantine"),
    ("C-STORE", "0110H", "a fault of the node; nothing was kept, or the object is in quarantine"),
    ("C-STORE", "0117H", "the command names no SOP Instance UID"),
    ("C-STORE", "0122H", "SOP class not supported"),
    ("C-STORE", "0124H", "the caller lacks the right to store"),
    ("C-STORE", "A700H", "less room than `storage.refuse_below_bytes`, or the disk or database does not take writes; nothing was kept"),
    ("C-STORE", "A900H", "command and data set name different objects or classes; in quarantine"),
    ("C-STORE", "C000H", "no readable DICOM object, or over a budget; in quarantine with the reason"),
    ("C-FIND", "FF00H", "a match"),
    ("C-FIND", "A900H", "the identifier does not fit its level or information model"),
    ("C-FIND", "FE00H", "canceled by the caller"),
    ("C-MOVE", "A801H", "the move destination is no peer with host and port in peers.toml"),
    ("C-MOVE, C-GET", "B000H", "some objects could not be sent; the response lists them"),
    ("C-MOVE, C-GET", "A701H", "more than 65535 objects are meant"),
    ("C-MOVE, C-GET", "A702H", "no object could be sent"),
    ("C-FIND, C-MOVE, C-GET", "C001H", "a fault of the node"),
    ("any", "0211H", "an operation that the accepted context does not have"),
    ("C-MOVE, C-GET", "FF00H", "going on, with the counts"),
)  # fmt: skip
WEB_NOTES = (
    "* Search: attributes and matching as in C-FIND, one query layer answers both; `includefield`, `fuzzymatching`, `limit` and",
    "  `offset`, the total in `X-Total-Count`, a Warning when `web.max_results` cuts the answer.",
    "* Retrieve: stored bytes as they are where the request accepts their transfer syntax (`transfer-syntax=*` or its UID), else",
    "  Explicit VR Little Endian, JPEG Baseline or JPEG-LS Lossless where the pixels can be decoded. The preamble is zero.",
    "* Rendered: stored baseline JPEG as it is where nothing is to be changed; loops as GIF and MP4 at the speed of their frame times.",
    "* Store: the same door as C-STORE; the same object once more is no error.",
    "* ETag and If-None-Match, byte ranges on bulk data and on single objects; no deletion, no worklist, no notifications.",
)
WEB_STATUSES = (
    ("all", "400", "a word, a UID or a body that is not understood; the answer says which"),
    ("all", "401, 403", "no token, or one without the right; without tokens also pages of other origins"),
    ("all", "404", "nothing here has these UIDs"),
    ("Retrieve", "406", "nothing that is accepted can be made of it; the answer names what can"),
    ("Retrieve", "206, 304, 416", "part of it, unchanged, no such part"),
    ("Store", "200, 202, 409", "all, some, no objects stored; Failed SOP Sequence has the status of C-STORE for each"),
    ("Store", "413, 415", "larger than `web.max_body_bytes`; a media type or encoding that is not taken"),
    ("Store", "503, 507", "the disk or database does not take writes; too little room"),
    ("all", "421", "the Host header names another machine than this one"),
)  # fmt: skip
REJECTIONS = (
    ("1 / 1 / 7", "called AE title not recognised", "the caller calls another AE title (`dimse.require_called_ae`)"),
    ("1 / 1 / 3", "calling AE title not recognised", "no peer has this AE title, or not from this address"),
    ("2 / 3 / 2", "local limit exceeded", "`dimse.max_associations` or `dimse.max_per_host` is reached; try again"),
)


def conformance_page(dimse: DimseSection | None = None, node: NodeSection | None = None) -> str:
    """The statement for the given settings, the defaults when none are given."""
    dimse, node = dimse or DimseSection(), node or NodeSection()
    syntaxes = classes.storage_syntaxes(deflate=dimse.deflate)
    storage = dict(classes.STORAGE_CLASSES) | dict.fromkeys(
        dimse.private_classes, "configured in dimse.private_classes"
    )
    parts = [
        HEAD.format(version=__version__),
        "## Implementation\n",
        *_table(
            ("item", "value"),
            (
                ("Implementation Class UID", IMPLEMENTATION_CLASS_UID),
                ("Implementation Version Name", IMPLEMENTATION_VERSION_NAME),
                ("Application Entity Title", f"{node.ae_title} (`node.ae_title`)"),
                ("Port", f"{node.port} (`node.port`)"),
                ("Largest PDU offered", f"{dimse.max_pdu_bytes} bytes (`dimse.max_pdu_bytes`)"),
                ("Associations at once", f"{dimse.acceptors} x {dimse.max_associations}"),
                ("Asynchronous operations", "not negotiated"),
                ("Character sets out", "the default repertoire; ISO_IR 192 where a query answer has text beyond ASCII"),
            ),
        ),
        "\n## Network services\n",
        *_table(
            ("service", "SOP class", "UID", "as SCP (called)", "as SCU (calling)"),
            (
                _service("Verification", classes.VERIFICATION, "yes", "`echonode peers check`"),
                ("Storage", "table below", "", "peers with the right `store`", "deliveries, C-MOVE, `echonode send`"),
                *(
                    _service(name, uid, f"peers with the right `{right}`", user)
                    for name, uids, right, user in (
                        ("Query", classes.FIND_CLASSES, "query", "`echonode query`"),
                        ("Retrieve", classes.MOVE_CLASSES, "retrieve", "no"),
                        ("Retrieve", classes.GET_CLASSES, "retrieve", "`echonode retrieve`"),
                    )
                    for uid in sorted(uids)
                ),
            ),
        ),
        "\nNot offered: storage commitment, worklist, performed procedure step, TLS.\n",
        "## Storage SOP classes accepted\n",
        "Every object is stored bit for bit as it came, whether or not its pixels can be decoded.\n",
        *_table(("SOP class", "UID"), ((name, uid) for uid, name in storage.items())),
        "\n## Transfer syntaxes accepted for storage\n",
        "Of the syntaxes that a caller proposes for a context, the first that stands here is taken.\n",
        *_table(("transfer syntax", "UID"), ((UID(uid).name, uid) for uid in sorted(syntaxes, key=_numeric))),
        "\nFor every other service: " + ", ".join(f"{UID(uid).name} ({uid})" for uid in classes.UNCOMPRESSED) + ".",
        "\n## Sending\n",
        "An object is proposed in the transfer syntax in which it lies here, and besides in Explicit and Implicit VR\n"
        "Little Endian. Where the other side takes only those, the pixels are decoded for it; the stored object stays.\n",
        "## Objects that echonode makes\n",
        *_table(
            ("object", "SOP class", "UID"),
            (("slow-motion loop", *_named("1.2.840.10008.5.1.4.1.1.3.1")),),
        ),
        "\nSame study and patient, a new series, `DERIVED\\SECONDARY`, a reference to the source, deterministic UIDs under 2.25.\n",
        "## Association rejections\n",
        *_table(("result / source / reason", "meaning", "when"), REJECTIONS),
        "\n## Status codes\n",
        *_table(("service", "status", "meaning"), STATUSES),
        *_dicomweb(WebSection()),
    ]
    return "\n".join(parts) + "\n"


def _dicomweb(web: WebSection) -> list[str]:
    """The web services (PS3.18), from the table that the API document is made of."""
    listed = [each for each in operations(web.prefix) if each.group in ("Search", "Retrieve", "Store")]
    return [
        "\n## DICOMweb (PS3.18)\n",
        f"As origin server under `{web.prefix}` on port {web.port} (`web.prefix`, `web.port`), HTTP/1.1. `/api` of a running\n"
        "node describes every path with its parameters. As user agent: results go to peers with `dicomweb` by STOW-RS.\n",
        *_table(
            ("method", "path", "gives", "takes"),
            ((each.method, f"`{_short(each.path)}`", ", ".join(each.gives), ", ".join(each.takes)) for each in listed),
        ),
        "",
        *WEB_NOTES,
        "",
        *_table(("service", "status", "meaning"), WEB_STATUSES),
    ]


def _short(path: str) -> str:
    """A path with S, E and I for the three UIDs."""
    for name, letter in zip(UIDS, ("{S}", "{E}", "{I}"), strict=True):
        path = path.replace(f"{{{name}}}", letter)
    return path


def _service(name: str, uid: str, provider: str, user: str) -> tuple[str, ...]:
    return (name, *_named(uid), provider, user)


def _named(uid: str) -> tuple[str, str]:
    return UID(uid).name, uid


def _numeric(uid: str) -> tuple[int, ...]:
    return tuple(int(part) for part in uid.split("."))


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    return [
        "| " + " | ".join(heads) + " |",
        "|" + "---|" * len(heads),
        *("| " + " | ".join(row) + " |" for row in rows),
    ]
