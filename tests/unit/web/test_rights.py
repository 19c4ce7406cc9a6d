"""Which right a request needs, over every path of the web edge."""

from __future__ import annotations

import pytest

from echonode.core.tokens import TokenRight
from echonode.web.tokens import rights_for

QUERY, RETRIEVE, STORE, ADMIN = (TokenRight.QUERY,), (TokenRight.RETRIEVE,), (TokenRight.STORE,), (TokenRight.ADMIN,)


@pytest.mark.parametrize(
    ("method", "path", "rights"),
    [
        ("GET", "/dicom-web/studies", QUERY),
        ("HEAD", "/dicom-web/series", QUERY),
        ("GET", "/dicom-web/instances", QUERY),
        ("GET", "/dicom-web/studies/1.2/series", QUERY),
        ("GET", "/dicom-web/studies/1.2/instances", QUERY),
        ("GET", "/dicom-web/studies/1.2/series/1.3/instances", QUERY),
        ("GET", "/dicom-web/studies/1.2", RETRIEVE),
        ("GET", "/dicom-web/studies/1.2/metadata", RETRIEVE),
        ("GET", "/dicom-web/studies/1.2/series/1.3/instances/1.4/frames/1", RETRIEVE),
        ("GET", "/dicom-web/studies/1.2/thumbnail", RETRIEVE),
        ("GET", "/dicom-web/anything/else", RETRIEVE),
        ("GET", "/wado", RETRIEVE),
        ("POST", "/dicom-web/studies", STORE),
        ("POST", "/dicom-web/studies/1.2", STORE),
        ("DELETE", "/dicom-web/studies/1.2", STORE),
        ("GET", "/health/live", ()),
        ("GET", "/health/ready", ()),
        ("GET", "/api", ()),
        ("GET", "/viewer/index.html", ()),
        ("GET", "/metrics", tuple(TokenRight)),
        ("GET", "/api/v1/work", ADMIN),
        ("POST", "/api/v1/work/1/cancel", ADMIN),
        ("POST", "/health/live", ADMIN),
        ("POST", "/viewer/index.html", ADMIN),
        ("GET", "/", ADMIN),
        ("GET", "/dicom-web", ADMIN),
        ("GET", "/nobody/thought/of/this", ADMIN),
        ("GET", "/health/live/../../api/v1/work", ADMIN),
        ("GET", "/viewer\n/api/v1/work", ADMIN),
    ],
)
def test_a_path_needs_its_right_and_an_unknown_one_admin(
    method: str, path: str, rights: tuple[TokenRight, ...]
) -> None:
    assert rights_for(method, path, "/dicom-web") == rights
