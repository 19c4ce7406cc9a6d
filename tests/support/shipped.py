"""The shipped ae_config with the one change that every site makes: results go to its PACS."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

KINDS = ("slow-motion", "report", "segmentation", "overlay", "capture", "document", "measurements", "rejection")


def shipped_routes(
    checkout: Path, *, document: bool = True, measurements: bool = True, only: Collection[str] | None = None
) -> str:
    """routes.toml as shipped; every route and the report deliver to `pacs`, which takes every kind.

    With `only`, the routes of other names are switched off.
    """
    text = (checkout / "ae_config" / "routes.toml").read_text(encoding="utf-8")
    text, routed = re.subn(r"(?m)^deliver_to = \[\]", 'deliver_to = ["pacs"]', text)
    assert routed >= 7, "the shipped routes have changed"
    for name, wanted in (("document", document), ("measurements", measurements)):
        text = text.replace(f"\n{name} = false", f"\n{name} = {str(wanted).lower()}")
    if only is not None:
        text = re.sub(r"(?m)^enabled = true.*\n", "", text, count=1)
        assert re.search(r"(?m)^\[report\]\nenabled = true", text), "the first is the route's, the last the report's"
        text = re.sub(
            r'(?m)^name = "(.+?)".*$',
            lambda found: found[0] if found[1] in only else f"{found[0]}\nenabled = false",
            text,
        )
    kinds = ", ".join(f'"{kind}"' for kind in KINDS)
    return f'{text}\n[[destination]]\nname = "pacs"\npeer = "pacs"\nkinds = [{kinds}]\n'


def shipped_views(checkout: Path, *, rows: str = "") -> str:
    """views.toml as shipped, with a lab's own rows before it."""
    return rows + (checkout / "ae_config" / "views.toml").read_text(encoding="utf-8")
