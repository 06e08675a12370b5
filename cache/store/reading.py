"""What the store knows about a study's models, found without weights, without torch, in milliseconds.

Evidence is looked for under every arithmetic it may have been made with, float32 first. Models whose files are not here
are found by the fingerprint that the study declares.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from backends.checkpoints.hub import is_on_hub
from backends.checkpoints.identity import ModelIdentity, declared_identity, resolve
from backends.checkpoints.resolved import ResolvedModels, identity_of, located_model
from backends.checkpoints.tensors import file_digest
from backends.errors import CheckpointError
from backends.evidence import ImageEvidence, TextEvidence
from backends.files.remembered import remembered
from backends.study import NUDENET, Decoding, JudgeSpec, ModelSpec, Probe, ProtocolName, Sampling, Study
from cache.store import keys
from cache.store.codec import TextPart
from cache.store.identities import rendering_of
from cache.store.interface import Store
from cache.store.keys import CODE_VERSION, IMAGE_PROTOCOL, Context, Kind, SeedSetting, text_protocol


def identity_to_read(
    spec: ModelSpec, study: Study | None = None, models: ResolvedModels | None = None
) -> ModelIdentity:
    """Identity as the study declares it, so that no weights are touched, else from the files.

    Args:
        spec: the model.
        study: whose way of asking counts; None where only the model itself does.
        models: as they were resolved for the work at hand; None looks at the model now, where it is not declared.

    Raises:
        CheckpointError: nothing declared and no files here.
    """
    known = declared_identity(spec)
    if known is None:
        known = identity_of(located_model(spec) if models is None else models[spec.name].located)
    return known if study is None else replace(known, asked=rendering_of(study, spec, models))


def judges_digest(judges: Sequence[JudgeSpec]) -> str:
    """Identity of all judges' files; "" where the study has none or their files are not here."""
    parts: list[object] = []
    for judge in judges:
        place = _judge_place(judge)
        files = [place] if place.is_file() else sorted(path for path in place.rglob("*") if path.is_file())
        if judge.path == NUDENET:  # its network, and the code that reads what that says
            files = [path for path in files if path.suffix in (".onnx", ".py")]
        if not files:
            return ""
        digests = [_file_digest(path) for path in files]
        said = [list(judge.classes), sorted(judge.labels), judge.threshold, judge.template]
        usual = JudgeSpec(judge.domain, judge.path, real=judge.real) == judge
        # Until version 2, tensors that a judge of transformers lacked were random, and a CSV's last row won.
        read = ["read 2"] if place.is_file() or (place / "config.json").is_file() else []
        parts.append([judge.domain, digests, *([] if usual else [said]), *read])
    return keys.digest(parts) if parts else ""


def _judge_place(judge: JudgeSpec) -> Path:
    """Where a judge's files are; on the hub, in its cache; in a package, there."""
    if judge.path == NUDENET:
        package_spec = find_spec(NUDENET)
        return (
            Path(package_spec.origin).parent
            if package_spec is not None and package_spec.origin
            else Path(NUDENET)
        )
    if not is_on_hub(judge.path):
        return Path(judge.path)
    try:
        return resolve(judge.path)
    except CheckpointError:
        return Path(judge.path)


def score_contexts(
    store: Store, model: ModelIdentity, protocol: ProtocolName = "corrected", date: str = ""
) -> list[Context]:
    """Contexts with token scores of the model, the preferred arithmetic first; `date` is the study's."""
    return _asked(_found(store, "scores", model, None, {}), model, protocol, date)


def answer_contexts(
    store: Store,
    model: ModelIdentity,
    decoding: Decoding,
    seed: int,
    protocol: ProtocolName = "corrected",
    date: str = "",
) -> list[Context]:
    """Contexts with answers of the model under these settings."""
    settings = keys.decoding_settings(decoding, seed)
    return _asked(_found(store, "answers", model, None, settings), model, protocol, date)


def gradient_contexts(
    store: Store, model: ModelIdentity, protocol: ProtocolName = "corrected", date: str = ""
) -> list[Context]:
    """Contexts with gradient norms of the model."""
    found = _found(store, "gradients", model, None, keys.gradient_settings(protocol))
    return _asked(found, model, protocol, date)


def text_contexts(store: Store, model: ModelIdentity, protocol: ProtocolName, date: str) -> list[Context]:
    """All contexts with evidence of a language model under a protocol, whatever the settings of its answers."""
    kinds: tuple[Kind, ...] = ("scores", "answers")
    return [
        context
        for kind in kinds
        for context in _asked(_found(store, kind, model, None, {}), model, protocol, date)
    ] + gradient_contexts(store, model, protocol, date)


def image_contexts(
    store: Store, model: ModelIdentity, sampling: Sampling, way: SeedSetting, judges: str
) -> list[Context]:
    """Contexts with images of the model under these settings; judges "" takes any judges' word."""
    wanted = keys.sampling_settings(sampling, *way)
    settings = wanted | ({"judges": judges} if judges else {})
    found = _found(store, "images", replace(model, tokenizer=""), IMAGE_PROTOCOL, settings)
    # A setting that is not asked for (a negative prompt) makes other pictures; only judges may be any.
    return [context for context in found if json.loads(context.settings).keys() - {"judges"} == wanted.keys()]


def evidence_for(
    study: Study,
    store: Store,
    model: str,
    probes: Sequence[Probe],
    decoding: Decoding | None = None,
    *,
    numerics: str | None = None,
    pieces: bool = True,
    resolved: ResolvedModels | None = None,
) -> dict[str, TextEvidence]:
    """What is stored of a language model on these probes: token scores and answers merged.

    Args:
        study: the study.
        store: the cache.
        model: name of the model in the study.
        probes: of the study, or typed by the user.
        decoding: settings of the answers; None is the study's.
        numerics: only evidence made with this arithmetic; None takes any, float32 first.
        pieces: False leaves out tokens as text and rivals, which metrics do not need.
        resolved: the study's models, where they were looked at for the work that asks; None looks at them now.

    Returns:
        Probe id -> evidence; a probe without any is left out.

    Raises:
        CheckpointError: the model's identity is neither declared nor available from files.
    """
    known = text_evidence(
        study,
        store,
        model,
        [probe.digest() for probe in probes],
        decoding,
        numerics=numerics,
        pieces=pieces,
        resolved=resolved,
    )
    return {probe.id: known[digest] for probe in probes if (digest := probe.digest()) in known}


def text_evidence(
    study: Study,
    store: Store,
    model: str,
    digests: Sequence[str],
    decoding: Decoding | None = None,
    *,
    numerics: str | None = None,
    pieces: bool = True,
    resolved: ResolvedModels | None = None,
) -> dict[str, TextEvidence]:
    """The same by the digest of a probe, for probes whose ids may not tell them apart; arguments as there."""
    model_identity = identity_to_read(study.model(model), study, resolved)
    decoding = decoding or study.decoding
    scored = _of(numerics, score_contexts(store, model_identity, study.protocol, study.date))
    scores = _first_text(store, scored, digests, "scores", pieces)
    answers = [
        _first_text(
            store,
            _of(numerics, answer_contexts(store, model_identity, decoding, seed, study.protocol, study.date)),
            digests,
            "answers",
        )
        for seed in keys.decoding_seeds(decoding)
    ]
    normed = _of(numerics, gradient_contexts(store, model_identity, study.protocol, study.date))
    norms = _first_text(store, normed, digests, "gradients")
    merged: dict[str, TextEvidence] = {}
    for digest in digests:
        written = [each[digest] for each in answers if digest in each]
        if digest in scores or written:
            merged[digest] = TextEvidence(
                scores=scores[digest].scores if digest in scores else {},
                answers=tuple(answer for each in written for answer in each.answers),
                gradient_norm=norms[digest].gradient_norm if digest in norms else math.nan,
            )
    return merged


def answers_for(
    study: Study, store: Store, model: str, probes: Sequence[Probe]
) -> dict[str, tuple[str, ...]]:
    """What a language model wrote on these probes under the study's decoding: probe id -> texts in the order of seeds.

    Nothing for a model whose identity is neither declared nor available from files.
    """
    try:
        model_identity = identity_to_read(study.model(model), study)
    except CheckpointError:
        return {}
    digests = [probe.digest() for probe in probes]
    seeds = [
        _first_text(
            store,
            answer_contexts(store, model_identity, study.decoding, seed, study.protocol, study.date),
            digests,
            "answers",
        )
        for seed in keys.decoding_seeds(study.decoding)
    ]
    written = {
        probe.id: tuple(a.text for each in seeds if digest in each for a in each[digest].answers)
        for probe, digest in zip(probes, digests, strict=True)
    }
    return {probe: texts for probe, texts in written.items() if texts}


def images_for(
    study: Study,
    store: Store,
    model: str,
    probes: Sequence[Probe],
    sampling: Sampling | None = None,
    *,
    numerics: str | None = None,
    resolved: ResolvedModels | None = None,
) -> dict[str, dict[int, ImageEvidence]]:
    """What is stored of an image model on these probes; arguments as for `evidence_for`.

    Returns:
        Probe id -> seed -> evidence, seeds in the order of the settings, or the one that the probe brings along; a
        probe without any is left out.

    Raises:
        CheckpointError: the model's identity is neither declared nor available from files.
    """
    model_identity = identity_to_read(study.model(model), models=resolved)
    sampling = sampling or study.sampling
    judges = judges_digest(study.judges)
    merged: dict[str, dict[int, ImageEvidence]] = {}
    for way in keys.image_seed_settings(sampling, probes):
        asked = [(probe, probe.digest()) for probe in probes if probe.own == way.own]
        pictures: dict[str, ImageEvidence] = {}
        for context in _of(numerics, image_contexts(store, model_identity, sampling, way, judges)):
            pictures = store.images(context.key, [digest for _, digest in asked]) | pictures
        for probe, digest in asked:
            if digest in pictures:
                seed = way.seed if probe.seed is None else probe.seed
                merged.setdefault(probe.id, {})[seed] = replace(pictures[digest], seed=seed)
    return merged


def _of(numerics: str | None, contexts: Sequence[Context]) -> list[Context]:
    return [context for context in contexts if numerics in (None, context.numerics)]


def _first_text(
    store: Store, contexts: Iterable[Context], digests: Sequence[str], only: TextPart, pieces: bool = False
) -> dict[str, TextEvidence]:
    result: dict[str, TextEvidence] = {}
    for context in contexts:
        wanted = [digest for digest in digests if digest not in result]
        if wanted:
            result |= store.text(context.key, wanted, pieces=pieces, only=only)
    return result


def _asked(
    contexts: Sequence[Context], model: ModelIdentity, protocol: ProtocolName, date: str
) -> list[Context]:
    """Those that were asked as the study asks.

    Where the model's template is not here to tell how that is, evidence that was asked under this date in a way of its
    own goes before evidence under the protocol's bare name, which may be of any day; never both.
    """
    if model.asked is not None:
        return [each for each in contexts if each.protocol == text_protocol(protocol, model.asked)]
    bare = text_protocol(protocol)
    wanted = f"{bare} {date}".rstrip()
    anew = [each for each in contexts if each.protocol.rpartition(" ")[0] == wanted and each.protocol != bare]
    return anew or [each for each in contexts if each.protocol == bare]


def _found(
    store: Store, kind: Kind, model: ModelIdentity, protocol: str | None, settings: dict[str, object]
) -> list[Context]:
    """Contexts of the current code that agree with all that is given, float32 before other arithmetic."""
    matching = [
        context
        for context in store.contexts(kind, model.fingerprint)
        if (not model.tokenizer or context.tokenizer == model.tokenizer)
        and protocol in (None, context.protocol)
        and context.code_version == CODE_VERSION[kind]
        and settings.items() <= json.loads(context.settings).items()
    ]
    return sorted(matching, key=lambda context: (context.numerics != "float32", context.numerics))


def _file_digest(path: Path) -> str:
    return remembered("file", [path], lambda: file_digest(path))
