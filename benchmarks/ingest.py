"""C-STORE ingest beside Orthanc and DCMTK, in one round-robin, every status checked.

    python benchmarks/ingest.py --bench ../shared/bench --work build/bench --rounds 3 --small 400 --clip 60 --raw 8

Every round starts each server afresh with an empty folder, sends the same objects over 1, 4 and 8 associations from
processes that hold the ready-made bytes in memory, and stops it. What counts is the ratio of two servers in the same
round: the same machine is three times as fast in one hour as in another. TCP_NODELAY=1 is set for the peers, which
answer in two small writes and would otherwise wait for an acknowledgement each time. echonode and Orthanc sync file
and database before they say success; storescp syncs nothing and indexes nothing: it is a floor, not a peer.

echonode's acceptors run here with an empty plan: no model runs while it is measured.
"""

from __future__ import annotations

import argparse
import json
import logging
import signal
import statistics
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

AE_TITLE, PORT = "ECHONODE", 11412
KINDS = ("small", "clip", "raw")


def main() -> None:
    """Make the data once, run the rounds, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", type=Path, default=Path("../shared/bench"), help="folder of the load generators")
    parser.add_argument("--work", type=Path, default=Path("build/bench"), help="data and servers' folders go here")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--assoc", default="1,4,8", help="associations at once")
    parser.add_argument("--acceptors", type=int, default=2, help="echonode's acceptor processes")
    parser.add_argument("--only", default="", help="some of echonode,orthanc-def,orthanc-favsync,storescp-fork+B")
    for kind, count in zip(KINDS, (400, 60, 8), strict=True):
        parser.add_argument(f"--{kind}", type=int, default=count, help=f"{kind} objects a measurement; 0 for none")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--acceptor", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve, arguments.acceptors)
    elif arguments.acceptor:
        accept(arguments.acceptor)
    else:
        compare(arguments)


def compare(arguments: argparse.Namespace) -> None:
    """Drive the load generators' round-robin with echonode in it."""
    bench, work = arguments.bench.resolve(), arguments.work.resolve()
    for kind in KINDS:
        count, folder = getattr(arguments, kind), work / "data" / kind
        if count and not (folder / "manifest.jsonl").exists():
            command = [sys.executable, str(bench / "make_data.py"), kind, str(max(count, 8)), str(folder)]
            subprocess.run([*command, "--per-study", str(max(1, count // 8))], check=True)
    sys.path.insert(0, str(bench))
    import run_peers

    command = [sys.executable, str(Path(__file__).resolve()), "--acceptors", str(arguments.acceptors), "--serve", "{D}"]
    run_peers.SERVERS = {"echonode": (command, PORT, AE_TITLE, {}), **run_peers.SERVERS}
    results = work / "results.jsonl"
    results.unlink(missing_ok=True)
    sys.argv = ["run_peers.py", "--rounds", str(arguments.rounds), "--out", str(results), "--assoc", arguments.assoc]
    sys.argv += ["--data", str(work / "data"), "--work", str(work / "servers")]
    sys.argv += [f"--{kind}={getattr(arguments, kind)}" for kind in KINDS]
    sys.argv += ["--only", arguments.only] if arguments.only else []
    run_peers.main()
    print(table([json.loads(line) for line in results.read_text().splitlines()]))


def table(rows: Iterable[dict[str, object]]) -> str:
    """Median instances a second, and echonode's ratio to each other server: median of the ratios of each round."""
    rates: dict[tuple[str, int], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    bad = 0.0
    for row in rows:
        rates[Path(str(row["data"])).name, int(str(row["k"]))][str(row["label"])].append(float(str(row["inst_s"])))
        bad += float(str(row["bad"]))
    lines = ["", f"{'':14}{'echonode/s':>12}  ratio of echonode to ... (median of rounds, [least - most])"]
    for (kind, associations), servers in sorted(rates.items()):
        ours = servers.pop("echonode", [])
        cells = []
        for name, theirs in servers.items():
            ratios = sorted(a / b for a, b in zip(ours, theirs, strict=False))
            if ratios:
                cells.append(f"{name} {statistics.median(ratios):.2f} [{ratios[0]:.2f} - {ratios[-1]:.2f}]")
        rate = f"{statistics.median(ours):.1f}" if ours else "-"
        lines.append(f"{kind:6} K={associations:<5}{rate:>12}  " + "   ".join(cells))
    return "\n".join([*lines, f"statuses other than success: {bad:.0f}"])


def serve(folder: Path, acceptors: int) -> None:
    """Migrate once, then run the acceptor processes until SIGTERM."""
    from echonode.archive.archive import Archive

    configuration = configured(folder)
    Archive.open(configuration.database_url, migrate=True).close()
    command = [sys.executable, str(Path(__file__).resolve()), "--acceptor", str(folder)]
    children = [subprocess.Popen(command) for _ in range(acceptors)]
    signal.signal(signal.SIGTERM, lambda *_: [child.terminate() for child in children])
    for child in children:
        child.wait()


def configured(folder: Path):
    """A node that takes everybody, in an empty folder."""
    from echonode.core.configuration import Configuration
    from echonode.core.peers import PeersFile
    from echonode.core.routes import RoutesFile
    from echonode.core.settings import NodeSection, NodeSettings, StorageSection

    return Configuration(
        folder=folder,
        node=NodeSettings(
            node=NodeSection(port=PORT, ae_title=AE_TITLE),
            storage=StorageSection(root=folder / "data", refuse_below_bytes=1 << 30, warn_below_bytes=0),
        ),
        peers=PeersFile(allow_unknown=True),
        routes=RoutesFile(),
    )


def accept(folder: Path) -> None:
    """One acceptor process."""
    import structlog

    from echonode.archive.archive import Archive
    from echonode.dimse.acceptor import run_acceptor
    from echonode.flow.ingest import Ingest

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))
    configuration, stop = configured(folder), threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    archive = Archive.open(configuration.database_url)
    ingest = Ingest(archive=archive, blobs=archive.blobs, planner=lambda facts: [], settings=configuration.node)
    run_acceptor(configuration, ingest=ingest, archive=archive, stop=stop)
    archive.close()


if __name__ == "__main__":
    main()
