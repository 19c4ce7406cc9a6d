"""Every operation of the web edge, described: what the API document says of each path. A test holds it to the routes."""

from __future__ import annotations

from dataclasses import dataclass

JSON, DICOM_JSON, DICOM_XML = "application/json", "application/dicom+json", "application/dicom+xml"
MULTIPART, DICOM, OCTETS, TEXT, PNG, JPEG, GIF, MP4 = (
    "multipart/related", "application/dicom", "application/octet-stream", "text/plain", "image/png", "image/jpeg",
    "image/gif", "video/mp4",
)  # fmt: skip
MODELS = (DICOM_JSON, 'multipart/related; type="application/dicom+xml"')
PICTURES = (JPEG, PNG, GIF, MP4)
FRAMES = tuple(
    f'multipart/related; type="{kind}"' for kind in (OCTETS, JPEG, "image/jls", "image/jp2", "image/dicom-rle")
)
OBJECTS = ('multipart/related; type="application/dicom"',)
UIDS = {"study": "Study Instance UID", "series": "Series Instance UID", "instance": "SOP Instance UID"}
SEARCH = ("limit", "offset", "fuzzymatching", "includefield")
LOOK = ("viewport", "window", "quality", "annotation", "iccprofile")
WORDS = {
    "active": "true lets the model run, false lets it look",
    "accept": "media type, where the Accept header cannot be set",
    "annotation": "patient, technique: accepted",
    "changes": "the patient as they are: patient_id, issuer, name, birth_date, sex; those that change",
    "columns": "columns of the picture, at most",
    "comment": "what the reviewer wants to say with it",
    "confidence_min": "confidence of the view, at least, 0 to 1",
    "contentType": "media type of the answer",
    "deliver_to": "list of destinations; the route's when not given",
    "frameNumber": "frame, counted from 1",
    "fuzzymatching": "true matches names by their components, whatever their case and accents",
    "iccprofile": "accepted",
    "imageQuality": "JPEG quality, 1 to 100",
    "includefield": "attribute by keyword or tag, or all; may be given more than once",
    "keep": "Patient ID, or the digest of an identity of the list",
    "kind": "run, deliver or report",
    "limit": "matches, at most",
    "line": "what routes.toml calls the model; that of its task when not given",
    "mode": "2d, 2d-colour, m-mode, pw, cw, tdi, 3d",
    "model": "model package; the first route's when not given",
    "name": "who says so, for the audit trail",
    "objectUID": "SOP Instance UID",
    "offset": "matches to skip",
    "parameters": "parameters of the task, an object",
    "quality": "JPEG quality, 1 to 100",
    "quality_min": "image quality, at least, 0 to 1",
    "queue": "a model's or a destination's name",
    "reason": "why; it stays with the item",
    "rejected": "why the report is rejected; accepted when not given",
    "requestType": "WADO",
    "rows": "rows of the picture, at most",
    "seriesUID": "Series Instance UID",
    "state": "scheduled, in-progress, completed, canceled",
    "study": "Study Instance UID or accession number",
    "studyUID": "Study Instance UID",
    "target": "SOP Instance UID, Study Instance UID or accession number",
    "task": "slow_motion",
    "transferSyntax": "transfer syntax of application/dicom",
    "values": "values of the reviewer, an object: EF: 45",
    "view": "short name of a view: PLAX, PSAX (PSAX-MV too), A4C, unknown",
    "viewport": "width,height",
    "why": "why, for the audit trail",
    "window": "center,width,function",
    "windowCenter": "centre of the window",
    "windowWidth": "width of the window",
}
"""Parameters of queries and keys of bodies -> what they mean."""
PLACES = UIDS | {
    "frames": "frame numbers from 1, with commas",
    "path": "tag of eight hex digits, nested ones with index and dots",
    "id": "id of a workitem, or its beginning",
    "kind": "route, model or destination",
    "line": "what routes.toml calls a model",
    "model": "name of a model package",
    "name": "name in routes.toml, or of a model package",
    "number": "number of the list",
    "target": "SOP Instance UID of a result, Study Instance UID or accession number",
    "file": "path of a file of the page",
}
"""Parameters of paths -> what they mean."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Operation:
    """One method on one path. `words` are of the query, `body` the keys of a JSON body, of which `needed` must be."""

    method: str
    path: str
    group: str
    says: str
    gives: tuple[str, ...] = (JSON,)
    words: tuple[str, ...] = ()
    body: tuple[str, ...] = ()
    needed: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    also: tuple[int, ...] = ()
    """Status codes of its own beside 200, 400 and 404."""


def operations(prefix: str) -> list[Operation]:
    """All of them, DICOMweb under `prefix`."""
    return [*_search(prefix), *_retrieve(prefix), *_store(prefix), *_node(), *_admin()]


def _search(prefix: str) -> list[Operation]:
    def search(path: str, what: str) -> Operation:
        says = f"Search for {what} (QIDO-RS). Further parameters are attributes by keyword or tag."
        return Operation(
            method="GET", path=f"{prefix}{path}", group="Search", says=says, gives=MODELS, words=SEARCH, also=(406,)
        )

    return [
        search("/studies", "studies"),
        search("/series", "series"),
        search("/instances", "instances"),
        search("/studies/{study}/series", "series of a study"),
        search("/studies/{study}/instances", "instances of a study"),
        search("/studies/{study}/series/{series}/instances", "instances of a series"),
    ]


def _retrieve(prefix: str) -> list[Operation]:
    levels = {
        "a study": f"{prefix}/studies/{{study}}",
        "a series": f"{prefix}/studies/{{study}}/series/{{series}}",
        "an instance": f"{prefix}/studies/{{study}}/series/{{series}}/instances/{{instance}}",
    }
    instance = levels["an instance"]
    found: list[Operation] = []

    def retrieve(path: str, says: str, gives: tuple[str, ...], *words: str, also: tuple[int, ...] = (304, 406)) -> None:
        found.append(
            Operation(
                method="GET", path=path, group="Retrieve", says=says, gives=gives, words=("accept", *words), also=also
            )
        )

    for what, path in levels.items():
        single = (DICOM,) if path == instance else ()
        retrieve(path, f"The objects of {what} (WADO-RS).", (*OBJECTS, *single))
        retrieve(f"{path}/metadata", f"Every attribute of {what} without bulk data.", MODELS)
        retrieve(f"{path}/rendered", f"{what.capitalize()} as pictures or loops.", PICTURES, *LOOK)
        retrieve(f"{path}/thumbnail", f"One small picture of {what}.", (JPEG, PNG), "viewport")
    frames = f"{instance}/frames/{{frames}}"
    retrieve(frames, "Frames, as stored or made anew; a single one also without parts.", FRAMES)
    retrieve(f"{frames}/rendered", "Frames as pictures or a loop.", PICTURES, *LOOK)
    retrieve(f"{frames}/thumbnail", "One small picture of a frame.", (JPEG, PNG), "viewport")
    retrieve(f"{instance}/bulkdata/{{path}}", "One value that metadata left out.", (OCTETS,), also=(206, 304, 406, 416))
    found.append(
        Operation(
            method="GET",
            path="/wado",
            group="Retrieve",
            says="One object or picture (WADO-URI).",
            gives=(JPEG, PNG, DICOM),
            words=(
                "requestType", "studyUID", "seriesUID", "objectUID", "contentType", "frameNumber", "rows", "columns",
                "windowCenter", "windowWidth", "imageQuality", "transferSyntax", "annotation",
            ),
            also=(406,),
        )
    )  # fmt: skip
    return found


def _store(prefix: str) -> list[Operation]:
    takes = (*OBJECTS, 'multipart/related; type="application/dicom+json"', MODELS[1])
    says = "Store objects{} (STOW-RS). 200: all, 202: some, 409: none; the answer says of each what happened and why."
    return [
        Operation(
            method="POST",
            path=f"{prefix}/studies{path}",
            group="Store",
            says=says.format(where),
            gives=(DICOM_JSON, DICOM_XML),
            takes=takes,
            also=(202, 409, 413, 415, 503, 507),
        )
        for path, where in (("", ""), ("/{study}", " of one study"))
    ]


def _node() -> list[Operation]:
    def look(path: str, says: str, *gives: str, also: tuple[int, ...] = ()) -> Operation:
        return Operation(method="GET", path=path, group="Node", says=says, gives=gives, also=also)

    return [
        look("/health/live", "Whether this process answers.", JSON),
        look("/health/ready", "Whether the node can do its work, with reasons.", JSON, also=(503,)),
        look("/metrics", "Numbers for Prometheus.", TEXT),
        look("/api", "This page.", "text/html"),
        look("/api/openapi.json", "This description for programs.", JSON),
    ]


def _admin() -> list[Operation]:
    root = "/api/v1"

    def ask(path: str, says: str, *words: str) -> Operation:
        return Operation(method="GET", path=root + path, group="Administration", says=says, words=words)

    def order(
        method: str, path: str, says: str, *body: str, needed: tuple[str, ...] = (), also: tuple[int, ...] = ()
    ) -> Operation:
        return Operation(
            method=method,
            path=root + path,
            group="Administration",
            says=says,
            body=body,
            needed=needed,
            takes=(JSON,) if body else (),
            also=also,
        )

    return [
        ask("/node", "Who the node is."),
        ask("/work", "The newest workitems; `says` tells where each stands.", "kind", "state", "study", "queue", "limit"),
        ask("/work/{id}", "One workitem."),
        order("POST", "/work/{id}/retry", "Offer an item that has ended again.", also=(409,)),
        order("POST", "/work/{id}/cancel", "Cancel an item that has not ended.", "reason", also=(409,)),
        ask("/deliveries", "The newest deliveries.", "state", "study", "queue", "limit"),
        ask("/studies", "Stored studies.", "limit"),
        ask("/studies/{study}", "The story of a study: what came, what ran or why not, where results went."),
        order(
            "POST",
            "/requests",
            "Run a task on a stored object or study, whatever the routes say.",
            "task", "target", "model", "parameters", "deliver_to",
            needed=("task", "target"),
        ),
        ask("/routes", "The routes of routes.toml."),
        ask("/routes/explain/{instance}", "Which routes take a stored object, condition by condition."),
        ask("/models", "The model packages: how each stands, in which line, and whether its files are sound."),
        ask("/models/{name}", "The manifest of one package, how it stands, and its history."),
        order(
            "POST",
            "/models/{model}/promote",
            "Let a registered package run where routes name its line, or look beside the one that runs.",
            "active", "line", "name", "why",
            needed=("active", "name", "why"),
            also=(409,),
        ),
        order(
            "POST",
            "/models/{model}/retire",
            "Take a package out of service.",
            "name", "why",
            needed=("name", "why"),
            also=(409,),
        ),
        order(
            "POST",
            "/models/{model}/remove",
            "Remove the folder of a package that neither runs nor looks.",
            "name", "why",
            needed=("name", "why"),
            also=(409,),
        ),
        order(
            "POST",
            "/lines/{line}/rollback",
            "What was active in a line before its last change is active again.",
            "name", "why",
            needed=("name", "why"),
            also=(409,),
        ),
        ask("/peers", "The peers of peers.toml."),
        ask("/pauses", "What is paused."),
        order("PUT", "/pauses/{kind}/{name}", "Hold back the work of a route, a model or a destination.", "reason"),
        order("DELETE", "/pauses/{kind}/{name}", "Let it go on."),
        ask("/conflicts", "Studies that name two patients."),
        order("POST", "/conflicts/{study}/resolve", "Say whose a study is.", "keep", needed=("keep",)),
        ask("/quarantine", "Objects that were not taken, each with its reason.", "limit"),
        ask("/studies/{study}/report", "The report of a study that stands, in values and in lines, and those before it."),
        order("POST", "/studies/{study}/process-now", "Let a study count as complete, so that its report is made."),
        order(
            "POST",
            "/studies/{study}/review",
            "A person's last word on the report: accepted, with values of their own, or rejected.",
            "name", "rejected", "values", "comment",
            needed=("name",),
        ),
        order(
            "POST",
            "/studies/{study}/correct",
            "Say who the patient of a study really is; what was made of it is made anew.",
            "changes", "name", "reason",
            needed=("changes", "name", "reason"),
        ),
        ask("/studies/{study}/results", "Every derived object of a study: kind, model, how it stands, its deliveries."),
        order(
            "POST",
            "/results/{target}/withdraw",
            "Take back a result, or everything that was made of a study.",
            "reason", "name",
            needed=("reason", "name"),
        ),
        order("POST", "/quarantine/{number}/resubmit", "One object through the door once more."),
        ask("/refusals", "Who was refused over DICOM, why, and what to do about it."),
        ask(
            "/objects",
            "Stored objects by view, mode, confidence and quality.",
            "study", "view", "mode", "confidence_min", "quality_min", "limit",
        ),
        order(
            "PUT",
            "/objects/{instance}/view",
            "A person's word on which view an object shows; what depends on it is planned anew.",
            "view", "name", "reason",
            needed=("view",),
        ),
    ]  # fmt: skip
