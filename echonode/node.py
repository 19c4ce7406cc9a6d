"""The composition root: the only place that names concrete classes, and the processes of `echonode serve`.

`serve` is a supervisor: it brings the database up to date, opens the ports, and keeps N acceptors, N web processes and
one worker alive.
`python -m echonode.node acceptor|web|worker FOLDER [DESCRIPTOR]` is one of its children. Runner processes are children
of the worker. Any of them may be killed at any time; none of supervisor, acceptors, web and worker imports torch.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from echonode.archive.activity import process_name
from echonode.archive.archive import Archive
from echonode.archive.blobs import LocalBlobs
from echonode.archive.node_key import make_node_key, read_node_key
from echonode.archive.vitals import VitalsWriter
from echonode.core.configuration import Configuration, load_configuration, refuse_strangers
from echonode.core.errors import ConfigurationError, EchonodeError
from echonode.core.ports import Executor
from echonode.core.tally import Tally
from echonode.core.task import announced_tasks, installed_tasks
from echonode.execution.slots import slots_of
from echonode.flow.composing import composer
from echonode.flow.counted import CountedIngest
from echonode.flow.ingest import Ingest
from echonode.flow.lines import PLANNING_SECONDS, Lines
from echonode.flow.route import plan
from echonode.logs import configure_logging
from echonode.phantom.marker import signed_by
from echonode.registry.catalogue import Catalogue
from echonode.supervisor import Role, Supervisor, child_of_supervisor, say_ready, this_python

if TYPE_CHECKING:
    from echonode.flow.self_check import SelfCheck
    from echonode.web.sender import PeerSender

LOG = logging.getLogger(__name__)
NODE_LOCK, WORKER_LOCK = "node.lock", "worker.lock"
BACKLOG = 256
PORT_SECONDS = 3.0
"""How long a start waits for the port: the children of a node that was killed need a moment to end."""


def open_blobs(configuration: Configuration) -> LocalBlobs:
    """The node's objects."""
    return LocalBlobs(configuration.root)


def open_archive(configuration: Configuration, *, migrate: bool = False) -> Archive:
    """The node's archive; with `migrate` its tables are made or brought up to date.

    Raises:
        ConfigurationError: a wrong URL, or a database of another revision.
        StorageUnavailable: the database cannot be reached.
    """
    return Archive.open(
        configuration.database_url,
        migrate=migrate,
        blobs=open_blobs(configuration),
        composer=composer(configuration.node.limits),
    )


def open_catalogue(configuration: Configuration) -> Catalogue:
    """The model packages that node.toml names."""
    return Catalogue(configuration.model_paths)


def open_ingest(configuration: Configuration, archive: Archive, *, tally: Tally | None = None) -> Ingest:
    """The door that every object comes in through, with routes.toml as its planner; `tally` counts them."""
    routes, settings = configuration.routes, configuration.node
    lines = Lines(archive, open_catalogue(configuration), seconds=PLANNING_SECONDS)
    return CountedIngest(
        tally=tally or Tally(),
        archive=archive,
        blobs=open_blobs(configuration),
        planner=lambda facts: plan(facts, routes, settings, installed=lines.names(), shadows=lines.shadows()),
        settings=settings,
        recogniser=partial(signed_by, key=key) if (key := read_node_key(configuration.root)) else None,
        views=configuration.views,
    )


def open_sender(configuration: Configuration) -> PeerSender:
    """What sends objects to the peers of peers.toml, by C-STORE or by STOW-RS."""
    from echonode.dimse.sender import DimseSender  # late: pynetdicom is not needed to look at the archive
    from echonode.web.sender import PeerSender, StowSender

    blobs = open_blobs(configuration)
    return PeerSender(
        configuration,
        dimse=DimseSender(configuration, blobs=blobs),
        stow=StowSender(configuration, blobs=blobs),
    )


def open_executor(configuration: Configuration, *, inline: bool = False) -> Executor:
    """Where models run: warm runner processes, or with `inline` this process, for one loop offline.

    Raises:
        ConfigurationError: execution.devices names a device that does not exist.
    """
    settings, limits, known = configuration.node.execution, configuration.node.limits, announced_tasks()
    if not inline:
        from echonode.execution.local import LocalExecutor  # late: acceptors run no model and decode nothing

        return LocalExecutor(tasks=known.tasks, refused=known.refused, settings=settings, limits=limits)
    from echonode.execution.inline import InlineExecutor

    slot = slots_of(settings)[0]
    return InlineExecutor(
        tasks=known.tasks, refused=known.refused, limits=limits, device=slot.device, threads=slot.threads
    )


def open_self_check(configuration: Configuration, archive: Archive, executor: Executor) -> SelfCheck:
    """What sends this node a simulated study when it is asked for, and looks at what comes back."""
    from echonode.flow.self_check import SelfCheck  # late: acceptors check nothing
    from echonode.self_scanner import SelfScanner

    return SelfCheck(
        archive=archive,
        blobs=open_blobs(configuration),
        catalogue=open_catalogue(configuration),
        executor=executor,
        settings=configuration.node,
        scanner=SelfScanner(configuration, key=make_node_key(configuration.root)),
    )


def serve(configuration: Configuration) -> int:
    """Run the node until SIGTERM or SIGINT; 0 when it ended as it should.

    Writes one line to standard output when it takes connections. SIGTERM lets associations and deliveries in the
    middle of an object finish, and gives back runs.

    Raises:
        ConfigurationError: the port is taken, another node uses the data folder, the database does not fit, or the
            web edge would be open to everybody.
        StorageUnavailable: the database cannot be reached.
    """
    configure_logging(configuration.node.log, process="supervisor")
    refuse_strangers(configuration)
    slots_of(configuration.node.execution, cuda_devices=lambda: 0)
    with (
        _locked(configuration.root, NODE_LOCK, wait_seconds=PORT_SECONDS),
        _listening(configuration) as listener,
        _listening_web(configuration) as doors,
    ):
        archive = open_archive(configuration, migrate=True)
        _warn_of_routes(configuration, Lines(archive, open_catalogue(configuration)))
        archive.close()
        make_node_key(configuration.root)
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: stop.set())
        Supervisor(_roles(configuration, listener, doors), ready=lambda: _announce(configuration)).run(stop)
    return 0


def run_acceptor_process(folder: Path, descriptor: int) -> None:
    """One acceptor on the supervisor's socket, until SIGTERM."""
    from echonode.dimse.acceptor import run_acceptor

    stop = child_of_supervisor()
    configuration = load_configuration(folder)
    configure_logging(configuration.node.log, process="acceptor")
    archive, tally = open_archive(configuration), Tally()
    try:
        with VitalsWriter(configuration.root, role="acceptor", tally=tally).keeping():
            run_acceptor(
                configuration,
                ingest=open_ingest(configuration, archive, tally=tally),
                archive=archive,
                stop=stop,
                sock=socket.socket(fileno=descriptor),
                blobs=open_blobs(configuration),
                ready=lambda _port: say_ready(),
                tally=tally,
            )
    finally:
        archive.close()


def run_web_process(folder: Path, descriptor: int) -> None:
    """One web process on a socket of the supervisor's, until SIGTERM."""
    from echonode.web.services import Services
    from echonode.web.serving import run_web

    stop = child_of_supervisor()
    configuration = load_configuration(folder)
    configure_logging(configuration.node.log, process="web")
    archive, tally = open_archive(configuration), Tally()
    vitals = VitalsWriter(configuration.root, role="web", tally=tally)
    services = Services(
        configuration=configuration,
        archive=archive,
        blobs=open_blobs(configuration),
        ingest=open_ingest(configuration, archive, tally=tally),
        catalogue=open_catalogue(configuration),
        clock=time.time,
        tally=tally,
        vitals=vitals,
    )
    try:
        with vitals.keeping():
            run_web(services, sock=socket.socket(fileno=descriptor), stop=stop, ready=say_ready)
    finally:
        archive.close()


def run_worker_process(folder: Path) -> None:
    """The one worker: runs, deliveries and sweeps, until SIGTERM."""
    from echonode.flow.deliver import Delivery
    from echonode.flow.leases import Leases
    from echonode.flow.publish import Publisher
    from echonode.flow.reporting import Reporting
    from echonode.flow.run import Runs
    from echonode.flow.takeover import clear_spool, take_over
    from echonode.flow.trainings import Trainings
    from echonode.flow.worker import work
    from echonode.sweeps import schedule, sweeps
    from echonode.trainer import LocalTrainer

    stop = child_of_supervisor()
    configuration = load_configuration(folder)
    configure_logging(configuration.node.log, process="worker")
    settings, routes = configuration.node, configuration.routes
    with _locked(configuration.root, WORKER_LOCK, wait_seconds=60.0):
        archive, blobs = open_archive(configuration), open_blobs(configuration)
        leases = Leases(archive.work, owner=process_name(), seconds=settings.work.lease_seconds)
        taken = take_over(archive, leases, host=f"{socket.gethostname()}/")
        clear_spool(blobs)
        executor, tally = open_executor(configuration), Tally()
        publisher = Publisher(
            archive=archive,
            blobs=blobs,
            ingest=open_ingest(configuration, archive, tally=tally),
            routes=routes,
            settings=settings,
            clock=time.time,
        )
        runs = Runs(
            archive=archive,
            blobs=blobs,
            catalogue=open_catalogue(configuration),
            executor=executor,
            publisher=publisher,
            routes=routes,
            settings=settings,
            leases=leases,
            clock=time.time,
            tally=tally,
        )
        sender = open_sender(configuration)
        delivery = Delivery(
            archive=archive,
            sender=sender,
            routes=routes,
            settings=settings.work,
            leases=leases,
            clock=time.time,
            tally=tally,
        )
        reporting = Reporting(
            archive=archive,
            catalogue=open_catalogue(configuration),
            publisher=publisher,
            routes=routes,
            settings=settings,
            leases=leases,
            tasks=installed_tasks(),
            clock=time.time,
        )
        vitals = VitalsWriter(
            configuration.root, role="worker", tally=tally, report=lambda: {"executor": executor.health()}
        )
        check = open_self_check(configuration, archive, executor)
        trainings = Trainings(
            archive=archive,
            trainer=LocalTrainer(configuration.root, configuration=configuration.folder),
            settings=settings.work,
            owner=leases.owner,
            clock=time.time,
            stop=stop,
        )
        scheduler = schedule(
            sweeps(
                archive,
                blobs,
                settings,
                strays=lambda: runs.refuse_strays() + delivery.refuse_strays(),
                check=check,
                reporting=reporting,
                trainings=trainings,
            )
        )
        LOG.info("worker is ready", extra={"taken_over": taken, "owner": leases.owner})
        say_ready()
        try:
            with vitals.keeping():
                work(runs, delivery, leases, reporting, poll_seconds=settings.work.poll_seconds, stop=stop, tally=tally)
        finally:
            trainings.close()
            scheduler.shutdown(wait=False)
            check.stop()
            executor.shutdown()
            sender.close()
            archive.close()


def main(arguments: list[str]) -> int:
    """One child of the supervisor."""
    role, folder = arguments[0], Path(arguments[1])
    try:
        if role == "acceptor":
            run_acceptor_process(folder, int(arguments[2]))
        elif role == "web":
            run_web_process(folder, int(arguments[2]))
        else:
            run_worker_process(folder)
    except EchonodeError as error:
        LOG.error("the process cannot work", extra={"reason": str(error)})
        return error.exit_code
    return 0


def _roles(configuration: Configuration, listener: socket.socket, doors: Sequence[socket.socket]) -> list[Role]:
    folder, descriptor = str(configuration.folder), listener.fileno()
    acceptor = this_python("echonode.node", "acceptor", folder, str(descriptor))
    acceptors = [
        Role(name=f"acceptor {number + 1}", command=acceptor, descriptors=(descriptor,))
        for number in range(configuration.node.dimse.acceptors)
    ]
    webs = [
        Role(
            name=f"web {number + 1}",
            command=this_python("echonode.node", "web", folder, str(door.fileno())),
            descriptors=(door.fileno(),),
        )
        for number, door in enumerate(doors)
    ]
    return [*acceptors, *webs, Role(name="worker", command=this_python("echonode.node", "worker", folder))]


def _announce(configuration: Configuration) -> None:
    node = configuration.node.node
    with contextlib.suppress(OSError):  # nobody may be reading
        web = configuration.node.web
        site = f", http://{_bracketed(web.host)}:{web.port}{web.prefix}" if web.enabled else ""
        sys.stdout.write(f"echonode is ready: {node.ae_title} on {_bracketed(node.host)}:{node.port}{site}\n")
        sys.stdout.flush()
    LOG.info("ready", extra={"ae_title": node.ae_title, "host": node.host, "port": node.port, "pid": os.getpid()})


def _warn_of_routes(configuration: Configuration, lines: Lines) -> None:
    known = announced_tasks()
    for each in known.refused:
        LOG.warning(
            "an installed task is not used",
            extra={"task": each.name, "package": each.package, "reason": each.reason},
        )
    for route in configuration.routes.route:
        if route.task not in known.tasks:
            LOG.warning(
                "a route names a task that is not there",
                extra={"route": route.name, "task": route.task, "reason": known.why_not(route.task)},
            )
        if not any(lines.runs(model) for model in route.models):
            LOG.warning(
                "a route names a model that is not there, or that is not active",
                extra={"route": route.name, "model": route.model},
            )
    if not any(route.deliver_to for route in configuration.routes.route if route.enabled):
        LOG.warning("no route delivers anywhere: results stay on this node until routes.toml names a destination")


@contextlib.contextmanager
def _locked(root: Path, name: str, *, wait_seconds: float) -> Iterator[None]:
    """Hold the lock file, so that one node and one worker use a data folder; the kernel frees it with the process."""
    root.mkdir(parents=True, exist_ok=True)
    path = root / name
    deadline = time.monotonic() + wait_seconds
    with path.open("a+") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    file.seek(0)
                    holder = file.read().strip() or "unknown"
                    raise ConfigurationError(
                        f"{path}: another echonode (process {holder}) uses this data folder; stop it first"
                    ) from None
                time.sleep(0.05)
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


@contextlib.contextmanager
def _listening(configuration: Configuration) -> Iterator[socket.socket]:
    """The node's socket, opened once and shared by the acceptors: while one is started again, callers wait in line.

    Raises:
        ConfigurationError: the address cannot be bound.
    """
    node = configuration.node.node
    with _bound(configuration, "node", node.host, node.port) as listener:
        yield listener


@contextlib.contextmanager
def _listening_web(configuration: Configuration) -> Iterator[list[socket.socket]]:
    """One socket for each web process on the same port: the kernel spreads connections over them.

    Raises:
        ConfigurationError: the address cannot be bound.
    """
    web = configuration.node.web
    count = web.workers if web.enabled else 0
    with contextlib.ExitStack() as stack:
        if count:  # two of our own may share the port, another program's must not
            stack.enter_context(_bound(configuration, "web", web.host, web.port)).close()
        yield [stack.enter_context(_bound(configuration, "web", web.host, web.port, shared=True)) for _ in range(count)]


@contextlib.contextmanager
def _bound(
    configuration: Configuration, section: str, host: str, port: int, *, shared: bool = False
) -> Iterator[socket.socket]:
    deadline = time.monotonic() + PORT_SECONDS
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        while True:
            try:
                listener.bind((host, port))
                listener.listen(BACKLOG)
                break
            except OSError as error:
                if error.errno != errno.EADDRINUSE or time.monotonic() >= deadline:
                    raise ConfigurationError(
                        f"{configuration.folder / 'node.toml'}: {section}.port: cannot listen on {host}:{port}: "
                        f"{error.strerror or error}"
                    ) from error
                time.sleep(0.05)
        yield listener


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
