"""Query and retrieve beside Orthanc: both servers hold the same objects and answer in turn, every answer verified.

    python benchmarks/dicomweb.py --bench ../shared/bench --work build/bench-web --sizes 2000,20000,100000 --rounds 3

Part one (`--parts query`): tiny objects are stored in both by C-STORE up to each size; there QIDO-RS and C-FIND are timed by
one client, p50 and p95. Part two (`--parts retrieve`): small stills and JPEG clips; WADO-RS by 1 and 8 clients, requests a
second. What counts is the ratio in the same round. Orthanc runs with its most favourable settings that still sync
files, and with TCP_NODELAY=1. echonode is `echonode serve` with two web processes and no route.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ECHONODE, ORTHANC = "echonode", "orthanc"
SALT = "10000000"
DICOM, WEB = 11412, 11480
START_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class Server:
    """A running server: where it takes objects and where it answers."""

    name: str
    pid: int
    dicom: int
    ae_title: str
    url: str


def main() -> None:
    """Start both, load both, ask both; print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", type=Path, default=Path("../shared/bench"), help="folder of the load generators")
    parser.add_argument("--work", type=Path, default=Path("build/bench-web"), help="data and servers' folders go here")
    parser.add_argument("--parts", default="query,retrieve")
    parser.add_argument("--sizes", default="2000,20000,100000", help="instances at which queries are timed")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--budget", type=float, default=4.0, help="seconds of one measurement, at most")
    parser.add_argument("--small", type=int, default=400, help="stills of 256 KB")
    parser.add_argument("--clip", type=int, default=60, help="JPEG clips of 5 MB")
    parser.add_argument("--again", action="store_true", help="query what the last run left, at the last size only")
    parser.add_argument("--ops", default="", help="some of bench_wado's operations")
    arguments = parser.parse_args()
    arguments.bench, arguments.work = arguments.bench.resolve(), arguments.work.resolve()
    sizes = [int(size) for size in arguments.sizes.split(",")][-1 if arguments.again else 0 :]
    if "query" in arguments.parts:
        print(query_table(queries(arguments, sizes), sizes), flush=True)
    if "retrieve" in arguments.parts:
        print(retrieve_table(retrievals(arguments)), flush=True)


def queries(arguments: argparse.Namespace, sizes: Sequence[int]) -> list[dict]:
    """Results of bench_qido and bench_find at every size."""
    data = made(arguments, "tiny", sizes[-1])
    results, loaded = [], 0
    with servers(arguments) as both:
        for size in sizes:
            for server in both if not arguments.again else ():
                load(arguments, server, data, skip=loaded, count=size - loaded)
            loaded = size
            for number in range(arguments.rounds):
                for server in in_turn(both, number):
                    ask = ["--data", str(data), "--loaded", str(size), "--clients", "1", "--label", server.name]
                    web = [*ask, "--url", server.url, "--budget", str(arguments.budget)]
                    find = [*ask, "--port", str(server.dicom), "--aet", server.ae_title, "--ops", FIND_OPS]
                    for script, more in (("bench_qido.py", web), ("bench_find.py", find)):
                        for row in measured(arguments, script, more):
                            results.append(row | {"loaded": size, "round": number})
    return results


FIND_OPS = "find_pid,find_date,find_name,find_series,find_image"


def retrievals(arguments: argparse.Namespace) -> list[dict]:
    """Results of bench_wado for stills and clips."""
    results = []
    for kind in ("small", "clip"):
        count = getattr(arguments, kind)
        if not count:
            continue
        data = made(arguments, kind, count)
        with servers(arguments) as both:
            for server in both:
                load(arguments, server, data, skip=0, count=count)
            for number in range(arguments.rounds):
                for server in in_turn(both, number):
                    ask = ["--data", str(data), "--loaded", str(count), "--clients", "1,8", "--label", server.name]
                    ask += ["--url", server.url, "--budget", str(arguments.budget), "--n", "300"]
                    ask += ["--ops", arguments.ops] if arguments.ops else []
                    for row in measured(arguments, "bench_wado.py", ask):
                        results.append(row | {"kind": kind, "round": number})
    return results


def made(arguments: argparse.Namespace, kind: str, count: int) -> Path:
    """The folder of the objects, made once."""
    folder: Path = arguments.work / "data" / f"{kind}-{count}"
    if not (folder / "manifest.jsonl").exists():
        per_study = 20 if kind != "clip" else 10
        command = [sys.executable, str(arguments.bench / "make_data.py"), kind, str(count), str(folder)]
        subprocess.run([*command, "--per-study", str(per_study)], check=True)
    return folder


def load(arguments: argparse.Namespace, server: Server, data: Path, *, skip: int, count: int) -> None:
    """Store further objects by C-STORE; anything but success ends the benchmark."""
    start = time.monotonic()
    for begin in range(skip, skip + count, 20000):  # the sender holds what it sends in memory
        part = min(20000, skip + count - begin)
        command = [sys.executable, str(arguments.bench / "bench_store.py"), "--port", str(server.dicom)]
        command += ["--aet", server.ae_title, "--data", str(data), "--skip", str(begin), "--count", str(part)]
        command += ["--salt", SALT, "--assoc", "4", "--repeat", "1", "--timeout", "120"]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        if "bad=0" not in done.stdout:
            raise SystemExit(f"{server.name} did not store everything: {done.stdout[-300:]}")
    took = time.monotonic() - start
    print(f"{server.name}: {count} more objects in {took:.0f} s", file=sys.stderr, flush=True)


def measured(arguments: argparse.Namespace, script: str, more: Sequence[str]) -> list[dict]:
    """The rows that one run of a load generator gives; its own lines go to standard error."""
    rows = arguments.work / "rows.jsonl"
    rows.unlink(missing_ok=True)
    command = [sys.executable, str(arguments.bench / script), *more, "--json", str(rows)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    sys.stderr.write(done.stdout + done.stderr[-500:])
    if done.returncode or not rows.exists():
        raise SystemExit(f"{script} failed")
    return [json.loads(line) for line in rows.read_text().splitlines()]


def in_turn(both: Sequence[Server], number: int) -> Sequence[Server]:
    """The servers in this round's order, so that none is always the first."""
    return both if number % 2 == 0 else both[::-1]


@contextmanager
def servers(arguments: argparse.Namespace) -> Iterator[list[Server]]:
    """Orthanc and echonode with empty folders; stopped by their own pid."""
    sys.path.insert(0, str(arguments.bench))
    import run_peers

    for taken in (DICOM, WEB, run_peers.ORTHANC["HttpPort"], run_peers.ORTHANC["DicomPort"]):
        if listens(taken):
            raise SystemExit(f"something listens on port {taken} already: it would be measured instead")
    folder: Path = arguments.work / "servers"
    if not arguments.again:
        shutil.rmtree(folder, ignore_errors=True)
        (folder / ORTHANC).mkdir(parents=True)
        configured(folder / ECHONODE)
    config = folder / ECHONODE / "config"
    orthanc, port, title, environment = run_peers.SERVERS["orthanc-favsync"]
    commands = {
        ORTHANC: ([part.replace("{D}", str(folder / ORTHANC)) for part in orthanc], environment),
        ECHONODE: ([str(Path(sys.executable).parent / "echonode"), "serve", "--config", str(config)], {}),
    }
    running: dict[str, subprocess.Popen] = {}
    try:
        for name, (command, more) in commands.items():
            with (folder / f"{name}.log").open("w") as log:
                running[name] = subprocess.Popen(
                    command, env={**os.environ, **more}, stdout=log, stderr=log, start_new_session=True
                )
        for web in (run_peers.ORTHANC["HttpPort"], WEB):
            wait_for(web)
        yield [
            Server(
                name=ORTHANC, pid=running[ORTHANC].pid, dicom=port, ae_title=title,
                url=f"http://127.0.0.1:{run_peers.ORTHANC['HttpPort']}/dicom-web",
            ),
            Server(
                name=ECHONODE, pid=running[ECHONODE].pid, dicom=DICOM, ae_title="ECHONODE",
                url=f"http://127.0.0.1:{WEB}/dicom-web",
            ),
        ]  # fmt: skip
    finally:
        for process in running.values():
            os.kill(process.pid, signal.SIGTERM)
            process.wait(60)


def configured(folder: Path) -> None:
    """Write a configuration for a node without routes that lets the load generators in."""
    config = folder / "config"
    config.mkdir(parents=True)
    models = Path(__file__).resolve().parents[1] / "models"
    (config / "node.toml").write_text(
        f'[node]\nport = {DICOM}\n[web]\nport = {WEB}\n[storage]\nroot = "{folder / "data"}"\n'
        f'refuse_below_bytes = 0\nwarn_below_bytes = 0\n[models]\npaths = ["{models}"]\n[log]\nlevel = "error"\n'
    )
    (config / "peers.toml").write_text('allow_unknown = true\nunknown_rights = ["store", "query", "retrieve"]\n')
    (config / "routes.toml").write_text("")


def wait_for(port: int) -> None:
    """Wait until something listens."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if listens(port):
            return
        time.sleep(0.1)
    raise SystemExit(f"nothing listens on port {port}")


def listens(port: int) -> bool:
    """Whether something takes connections there."""
    try:
        socket.create_connection(("127.0.0.1", port), 0.2).close()
    except OSError:
        return False
    return True


def query_table(rows: Sequence[dict], sizes: Sequence[int]) -> str:
    """p50 and p95 in ms by operation and size, and the ratio of the p95 to Orthanc's: medians over the rounds."""
    values = grouped(rows, "p50", "p95", by=("op", "loaded"))
    lines = ["", "ms: echonode p50 / p95 | orthanc p50 / p95 | p95 ratio (median of rounds); growth of our p95"]
    for op in dict.fromkeys(row["op"] for row in rows):
        cells = []
        for size in sizes:
            ours, theirs = values[op, size][ECHONODE], values[op, size][ORTHANC]
            ratio = statistics.median(a / b for a, b in zip(ours["p95"], theirs["p95"], strict=True))
            cells.append(
                f"{size}: {middle(ours['p50'])} / {middle(ours['p95'])} | {middle(theirs['p50'])} / "
                f"{middle(theirs['p95'])} | {ratio:.2f}x"
            )
        first, last = (statistics.median(values[op, size][ECHONODE]["p95"]) for size in (sizes[0], sizes[-1]))
        lines.append(f"{op:22} " + "   ".join(cells) + f"   growth {last / first:.2f}x")
    return "\n".join([*lines, f"wrong answers: {sum(row['bad'] for row in rows)}"])


def retrieve_table(rows: Sequence[dict]) -> str:
    """Requests a second by operation, kind and clients, and the ratio to Orthanc: medians over the rounds."""
    values = grouped(rows, "rate", by=("op", "kind", "k"))
    lines = ["", "requests a second: echonode | orthanc | ratio (median of rounds, [least - most])"]
    for key in values:
        ours, theirs = values[key][ECHONODE]["rate"], values[key][ORTHANC]["rate"]
        ratios = sorted(a / b for a, b in zip(ours, theirs, strict=False) if b)
        spread = f"{statistics.median(ratios):.2f}x [{ratios[0]:.2f} - {ratios[-1]:.2f}]" if ratios else "-"
        op, kind, clients = key
        lines.append(f"{op:12} {kind:6} K={clients}  {middle(ours):>8} | {middle(theirs):>8} | {spread}")
    return "\n".join([*lines, f"wrong answers: {sum(row['bad'] for row in rows)}"])


def grouped(rows: Sequence[dict], *fields: str, by: Sequence[str]) -> dict:
    """key -> server -> field -> a value for each round."""
    found: dict = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for row in rows:
        for field in fields:
            found[tuple(row[name] for name in by)][row["label"]][field].append(row[field])
    return found


def middle(values: Sequence[float]) -> str:
    """The median, short."""
    return f"{statistics.median(values):.4g}" if values else "-"


if __name__ == "__main__":
    main()
