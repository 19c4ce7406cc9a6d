"""`echonode serve`: run the node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from echonode.cli.options import ConfigOption, configuration_of
from echonode.cli.screen import say
from echonode.core.errors import ConfigurationError, EchonodeError

if TYPE_CHECKING:
    from echonode.core.configuration import Configuration


def serve_command(
    config: ConfigOption = None,
    check: Annotated[
        bool, typer.Option("--check", help="Check configuration and models, say what was found, stop.")
    ] = False,
) -> None:
    """Run the node until SIGTERM or Ctrl-C; its log goes to standard error."""
    configuration = configuration_of(config)
    if check:
        from echonode.core.configuration import refuse_strangers

        refuse_strangers(configuration)
        check_models(configuration)
        _describe(configuration)
        return
    from echonode.node import serve

    raise typer.Exit(serve(configuration))


def check_models(configuration: Configuration) -> None:
    """Refuse routes whose model is missing, damaged, or made for another task.

    For --check alone: a node whose model is broken still starts, warns, and stores what the scanners send.

    Raises:
        ConfigurationError: with file, route and what is wrong.
    """
    from echonode.registry.catalogue import Catalogue

    catalogue = Catalogue(configuration.model_paths)
    file = configuration.folder / "routes.toml"
    for route in configuration.routes.route:
        if not route.enabled:
            continue
        there = set(catalogue.names())
        for model in [name for name in route.models if name in there] or [route.model]:
            try:
                task = catalogue.manifest(model).task
            except EchonodeError as error:
                raise ConfigurationError(f"{file}: route.{route.name}.model: {error}") from error
            if task != route.task:
                raise ConfigurationError(
                    f"{file}: route.{route.name}.task: model {model!r} is for {task!r}, not for {route.task!r}"
                )


def _describe(configuration: Configuration) -> None:
    node, routes = configuration.node.node, configuration.routes
    say(f"configuration  {configuration.folder}: sound")
    say(f"node           {node.ae_title} on {node.host}:{node.port}")
    say(f"data           {configuration.root}")
    peers = ", ".join(f"{peer.name} ({peer.ae_title})" for peer in configuration.peers.peer) or "none"
    say(f"peers          {peers}; unknown callers are {'accepted' if configuration.peers.allow_unknown else 'refused'}")
    for route in routes.route:
        to = ", ".join(route.deliver_to) or "stays on this node"
        say(
            f"route          {route.name}: {', else '.join(route.models)} -> {to}{'' if route.enabled else ' (switched off)'}"
        )
