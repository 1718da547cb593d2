"""The model registry: log a model with its evidence, register it, promote it through a gate, load it.

MLflow keeps it: SQLite in the working folder unless told otherwise. A logged model is the bundle's own
folder of text files (`riskmodels.learning.bundle`), loaded by name of a module: nothing is pickled.
"""

import logging
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

from riskmodels import __version__
from riskmodels.errors import RegistryError, did_you_mean
from riskmodels.files import write_json
from riskmodels.learning.bundle_folder import Bundle, bundle_kind, load_bundle
from riskmodels.learning.gate import Promotion, decide
from riskmodels.learning.logged import (
    flat,
    headline,
    metrics_of,
    requirements,
    short,
    signature,
    synthetic_example,
)
from riskmodels.learning.tracking import Tracking, tracking, without_password

if TYPE_CHECKING:
    from riskmodels.evaluation import CostEvaluation, Evaluation

__all__ = [
    "CANDIDATE",
    "CHAMPION",
    "LoggedModel",
    "Promotion",
    "fetch_run",
    "load_model",
    "log_model",
    "promote",
]

logger = logging.getLogger(__name__)

B = TypeVar("B", bound=Bundle)

CANDIDATE, CHAMPION = "candidate", "champion"
EVALUATION, COMPARISON, CONTRACT = "evaluation.json", "comparison.json", "contract.json"
MODEL = "model"
VERSUS = "versus_champion."


@dataclass(frozen=True)
class LoggedModel:
    """Where a model was put: ``models:/NAME/VERSION`` and the run with its evidence."""

    name: str
    version: str
    run_id: str
    tracking_uri: str

    @property
    def uri(self) -> str:
        """Return the URI of this version."""
        return f"models:/{self.name}/{self.version}"


def log_model(
    bundle: Bundle,
    evaluation: "Evaluation | CostEvaluation",
    plots: Mapping[str, Path] | None = None,
    params: Mapping[str, Any] | None = None,
    tracking_uri: str | None = None,
    experiment: str = "riskmodels",
    *,
    comparison: Mapping[str, Any] | None = None,
    artifacts: Mapping[str, Path] | None = None,
) -> LoggedModel:
    """Log a model with its evidence and register it, under its name, with the alias ``candidate``.

    Parameters
    ----------
    bundle : ModelBundle or CostBundle
        The model.
    evaluation : Evaluation or CostEvaluation
        How good it is on patients held out; it holds no row of a patient.
    plots, artifacts : mapping of name to file, optional
        Pictures, kept under ``plots/``; any other files, kept under their names.
    params : mapping, optional
        Parameters of the training; nested ones are written as ``outer.inner``.
    comparison : mapping, optional
        What `riskmodels.learning.gate.compare_with_champion` gave: the differences to the champion on
        the same rows.
    """
    import mlflow

    with tracking(tracking_uri) as server, tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        tags = {"riskmodels.version": __version__, "riskmodels.task": bundle.task.name}
        with mlflow.start_run(
            experiment_id=server.experiment(experiment), run_name=bundle.name, tags=tags
        ) as run:
            mlflow.log_params({key: short(value) for key, value in flat(params or {})})
            mlflow.log_metrics(metrics_of(evaluation))
            write_json(folder / EVALUATION, evaluation.to_dict())
            write_json(folder / CONTRACT, bundle.contract.to_dict())
            if comparison is not None:
                write_json(folder / COMPARISON, dict(comparison))
            mlflow.log_artifacts(str(folder))
            for name, path in (plots or {}).items():
                _log_file(path, f"plots/{Path(name).with_suffix(Path(path).suffix)}")
            for name, path in (artifacts or {}).items():
                _log_file(path, name)
            saved = bundle.save(folder / "bundle")
            example = synthetic_example(bundle)
            info = mlflow.pyfunc.log_model(
                name=MODEL,
                loader_module="riskmodels.learning.pyfunc",
                data_path=str(saved),
                signature=signature(bundle),
                input_example=example,
                pip_requirements=requirements(),
                metadata={"riskmodels_version": __version__, "task": bundle.task.name},
            )
        version = _register(server, bundle, info.model_uri, run.info.run_id, evaluation, comparison)
    logger.info("registered %s version %s as %s", bundle.name, version, CANDIDATE)
    return LoggedModel(bundle.name, version, run.info.run_id, server.uri)


def promote(
    name: str,
    version: str | int | None = None,
    alias: str = CANDIDATE,
    tracking_uri: str | None = None,
) -> Promotion:
    """Make a registered version the champion if it passes the gate (`riskmodels.learning.gate`).

    Parameters
    ----------
    name : str
        The registered name; ``models:/NAME`` will do.
    version : optional
        Which version; without it the one with `alias`.

    Returns
    -------
    Promotion
        The decision with its reasons, which are also kept as tags of the version.
    """
    name = name.removeprefix("models:/")
    with tracking(tracking_uri, must_exist=True) as server:
        chosen = _version(server, name, None if version is None else str(version), alias)
        champion = _champion(server, name)
        if champion is not None and str(champion.version) == str(chosen.version):
            return Promotion(
                name, str(chosen.version), True, ("is the champion already",), str(champion.version)
            )
        current = None if champion is None else _evaluation(server, champion.run_id)
        paired = _paired(chosen.tags, champion)
        promoted, reasons = decide(_evaluation(server, chosen.run_id), current, paired)
        against = None if champion is None else str(champion.version)
        tags = {
            "gate.decision": "promoted" if promoted else "refused",
            "gate.reasons": "; ".join(reasons),
            "gate.against": against or "no champion",
        }
        for key, value in tags.items():
            server.client.set_model_version_tag(name, str(chosen.version), key, value)
        if promoted:
            server.client.set_registered_model_alias(name, CHAMPION, str(chosen.version))
    logger.info("%s version %s: %s", name, chosen.version, tags["gate.decision"])
    return Promotion(name, str(chosen.version), promoted, reasons, against)


@overload
def load_model(model: str | Path, tracking_uri: str | None = None, *, kind: type[B]) -> B: ...


@overload
def load_model(model: str | Path, tracking_uri: str | None = None) -> Bundle: ...


def load_model(
    model: str | Path, tracking_uri: str | None = None, *, kind: type[Bundle] | None = None
) -> Bundle:
    """Load a model from the registry, a run or a folder.

    Parameters
    ----------
    model : str or path
        ``models:/NAME@ALIAS``, ``models:/NAME/VERSION``, ``runs:/RUN_ID`` or a folder.
    kind : type, optional
        `ModelBundle` or `CostBundle`, where a model of the other kind would be of no use.

    Returns
    -------
    ModelBundle or CostBundle

    Raises
    ------
    RegistryError
        There is no such model, it is damaged, or of another kind.
    """
    bundle = _load(str(model), tracking_uri)
    if kind is not None and not isinstance(bundle, kind):
        raise RegistryError(f"{model} is {bundle.KIND}, and not {kind.KIND}\nFix: {_USES[bundle.HEAD]}")
    return bundle


_USES = {
    "cost_bundle.json": "put it to use with: riskmodels panel HISTORY --year YEAR --model MODEL --out FILE",
    "bundle.json": "name one that was trained on a task of cost, such as models:/cost-12m@champion",
}


def _load(text: str, tracking_uri: str | None) -> Bundle:
    if not text.startswith(("models:", "runs:")):
        folder = Path(text)
        if not folder.is_dir():
            raise RegistryError(
                f"there is no model folder {text}\n"
                "Fix: name a folder, models:/NAME@champion, models:/NAME/VERSION or runs:/RUN_ID"
            )
        return load_bundle(_bundle_folder(folder))
    import mlflow

    with tracking(tracking_uri, must_exist=True) as server, tempfile.TemporaryDirectory() as temporary:
        named: dict[str, str] = {}
        if text.startswith("models:"):
            found = _from_uri(server, text)
            named = {"name": str(found.name), "version": str(found.version)}
            text = f"models:/{found.name}/{found.version}"
        elif text.removeprefix("runs:/").count("/") == 0:
            text = f"{text}/{MODEL}"
        local = mlflow.artifacts.download_artifacts(artifact_uri=text, dst_path=temporary)
        bundle = load_bundle(_bundle_folder(Path(local)))
    return bundle.called(named)


def fetch_run(run: str | Path, target: str | Path, tracking_uri: str | None = None) -> dict[str, Path]:
    """Copy what a run logged to the folder `target`, for a report.

    Parameters
    ----------
    run : str
        A run id, ``runs:/RUN_ID``, ``models:/NAME@ALIAS`` or ``models:/NAME/VERSION``.

    Returns
    -------
    dict of str to Path
        The files by their names in the run: ``evaluation.json``, ``contract.json``,
        ``plots/calibration.png`` ...
    """
    import mlflow

    target = Path(target)
    with tracking(tracking_uri, must_exist=True) as server:
        text = str(run)
        run_id = _from_uri(server, text).run_id if text.startswith("models:") else text.removeprefix("runs:/")
        mlflow.artifacts.download_artifacts(run_id=run_id.split("/")[0], dst_path=str(target))
    return {path.relative_to(target).as_posix(): path for path in sorted(target.rglob("*")) if path.is_file()}


def _register(
    server: Tracking,
    bundle: Bundle,
    source: str,
    run_id: str,
    evaluation: "Evaluation | CostEvaluation",
    comparison: Mapping[str, Any] | None,
) -> str:
    from mlflow.exceptions import MlflowException

    try:
        server.client.create_registered_model(bundle.name, description=bundle.task.title)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    tags = {"task": bundle.task.name, "riskmodels.version": __version__, **headline(evaluation)}
    if comparison is not None:
        tags |= {f"{VERSUS}{key}": str(value) for key, value in flat(comparison)}
    version = server.client.create_model_version(bundle.name, source=source, run_id=run_id, tags=tags)
    server.client.set_registered_model_alias(bundle.name, CANDIDATE, version.version)
    return str(version.version)


def _log_file(path: Path, name: str) -> None:
    import shutil

    import mlflow

    with tempfile.TemporaryDirectory() as folder:
        named = Path(folder) / Path(name).name
        shutil.copyfile(path, named)
        parent = Path(name).parent.as_posix()
        mlflow.log_artifact(str(named), None if parent == "." else parent)


def _bundle_folder(folder: Path) -> Path:
    """Return the bundle inside what MLflow keeps of a model, or the folder itself."""
    if bundle_kind(folder) is not None:
        return folder
    inside = [path for path in sorted(folder.rglob("*")) if path.is_dir() and bundle_kind(path)]
    if len(inside) != 1:
        raise RegistryError(f"{folder} is no model of riskmodels: it holds no bundle.json")
    return inside[0]


def _from_uri(server: Tracking, uri: str) -> Any:
    name, version, alias = _parse(uri)
    return _version(server, name, version, alias)


def _parse(uri: str) -> tuple[str, str | None, str]:
    matched = re.fullmatch(r"models:/([^/@]+)(?:/(\d+)|@([^/@]+))", uri)
    if matched is None:
        raise RegistryError(
            f"{uri!r} names no model\nFix: write models:/NAME@champion, models:/NAME@candidate or "
            "models:/NAME/3"
        )
    return matched[1], matched[2], matched[3] or CANDIDATE


def _version(server: Tracking, name: str, version: str | None, alias: str) -> Any:
    from mlflow.exceptions import MlflowException

    try:
        if version is not None:
            return server.client.get_model_version(name, version)
        return server.client.get_model_version_by_alias(name, alias)
    except MlflowException as error:
        names = [model.name for model in server.client.search_registered_models()]
        if name not in names:
            known = did_you_mean(name, names) if names else "The registry is empty."
            raise RegistryError(
                f"there is no registered model {name!r} in {without_password(server.uri)}. {known}\n"
                "Fix: train one first, or name another registry with --tracking-uri"
            ) from error
        versions = server.client.search_model_versions(f"name='{name}'")
        numbers = ", ".join(sorted((str(v.version) for v in versions), key=int))
        aliases = ", ".join(sorted(server.client.get_registered_model(name).aliases)) or "none"
        wanted = f"version {version}" if version is not None else f"alias {alias!r}"
        hint = (
            "\nFix: promote a version first: riskmodels promote"
            if alias == CHAMPION and version is None
            else ""
        )
        raise RegistryError(
            f"{name} has no {wanted}; versions: {numbers or 'none'}; aliases: {aliases}{hint}"
        ) from error


def _champion(server: Tracking, name: str) -> Any:
    aliases = server.client.get_registered_model(name).aliases
    return server.client.get_model_version(name, aliases[CHAMPION]) if CHAMPION in aliases else None


def _evaluation(server: Tracking, run_id: str) -> "Evaluation | CostEvaluation":
    import json

    import mlflow

    from riskmodels.evaluation import read_evaluation

    with tempfile.TemporaryDirectory() as folder:
        path = mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=EVALUATION, dst_path=folder)
        return read_evaluation(json.loads(Path(path).read_text(encoding="utf-8")))


def _paired(tags: Mapping[str, str], champion: Any) -> dict[str, dict[str, float]] | None:
    """Return the differences to the champion on the same rows, if they were measured against this one."""
    if champion is None or tags.get(f"{VERSUS}version") != str(champion.version):
        return None
    found: dict[str, dict[str, float]] = {}
    for key, value in tags.items():
        metric, _, part = key.removeprefix(VERSUS).partition(".")
        if key.startswith(VERSUS) and part:
            found.setdefault(metric, {})[part] = float(value)
    return found
