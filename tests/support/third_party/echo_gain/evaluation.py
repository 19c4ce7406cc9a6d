"""How wrong packages are: `echonode evaluate gain`."""

from __future__ import annotations

from echo_gain.recordings import recordings
from echo_gain.runner import open_runner
from echonode.core.errors import BadInput
from echonode.training.arguments import Evaluation, EvaluationArguments
from echonode.training.publish import metric
from echonode.training.sources import evaluation_data
from echonode.training.statistics import bland_altman, bootstrap_interval, mae
from echonode.training.table import Table

SCALE, LOOPS = 0.2, 4


def evaluate(arguments: EvaluationArguments) -> Evaluation:
    """Grey levels of each package beside the true ones, on simulated loops that it has not seen."""
    data = evaluation_data(arguments, name="gain")
    rows, metrics = [], {}
    for package in arguments.packages:
        runner = open_runner(package, arguments.device, arguments.threads)
        made = recordings(
            data.items, frames=int(package.config["frames"]), side=int(package.config["side"]), scale=SCALE, loops=LOOPS
        )
        if not made:
            raise BadInput("gain: no loop of the data shows myocardium")
        given, truth = [runner.grey_of(each.pictures)[0] for each in made], [100 * each.grey for each in made]
        patients = [each.patient for each in made]
        error = bootstrap_interval(given, truth, statistic=mae, by=patients, seed=arguments.seed)
        metrics[package.name] = (metric("grey level MAE", error, unit="%", on=data.source, locked=True),)
        rows.append((package.name, error.value, bland_altman(given, truth).bias.value, len(made)))
    table = Table(columns=("model", "MAE", "bias", "loops"), rows=tuple(rows), words="Grey level in percent of white.")
    return Evaluation(tables={"Brightness of the myocardium": table}, metrics=metrics)
