"""What an evaluation would compute and what it has already: for each model, probe set and kind. Needs no weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backends.checkpoints.identity import ModelIdentity
from backends.checkpoints.resolved import ResolvedModels
from backends.errors import CheckpointError
from backends.metrics.card import FORGOTTEN_ROLES
from backends.study import ModelSpec, Probe, ProbeSet, Study
from cache.evaluate.incomplete import with_model_name
from cache.store import Store, keys
from cache.store.features import missing_features, missing_real_features, networks_of
from cache.store.identities import identity_in
from cache.store.keys import Context, Kind, SeedSetting
from cache.store.reading import judges_digest


@dataclass(frozen=True, slots=True)
class PlanItem:
    """One kind of evidence of one model on one probe set.

    Attributes:
        model: name in the study.
        probe_set: name in the study, or `features_title` for what a network makes of the pictures that are stored.
        role: of the probes; "" for features.
        kind: "scores", "answers", "gradients" or "images".
        total: pieces of evidence needed (images: probes x seeds).
        missing: how many of them are not stored.
    """

    model: str
    probe_set: str
    role: str
    kind: Kind
    total: int
    missing: int

    @property
    def cached(self) -> int:
        """How many are stored."""
        return self.total - self.missing


@dataclass(frozen=True, slots=True)
class EvaluationPlan:
    """All evidence that is needed, and for models that cannot be evaluated here the reason in one sentence."""

    items: tuple[PlanItem, ...]
    problems: Mapping[str, str]

    @property
    def total(self) -> int:
        """Pieces of evidence in all."""
        return sum(item.total for item in self.items)

    @property
    def missing(self) -> int:
        """Pieces that are not stored, whether or not they can be computed here."""
        return sum(item.missing for item in self.items)

    def of(self, model: str) -> list[PlanItem]:
        """Items of one model."""
        return [item for item in self.items if item.model == model]


def plan(
    study: Study,
    store: Store,
    pool_numerics: str,
    models: Sequence[str] | None = None,
    resolved: ResolvedModels | None = None,
) -> EvaluationPlan:
    """What evaluating these models (None: all) with this arithmetic would find stored and missing.

    Args:
        study: the study.
        store: the cache.
        pool_numerics: `cache.keys.numerics` of the device and dtype that would compute.
        models: names in the study.
        resolved: the study's models, where they were looked at for the work that asks; None looks at them now.
    """
    items: list[PlanItem] = []
    resolved = ResolvedModels(study) if resolved is None else resolved
    wrong = resolved.problems(spec.name for spec in chosen(study, models))
    problems = {name: with_model_name(name, error) for name, error in wrong.items()}
    for spec in chosen(study, models):
        try:
            model_identity = identity_in(study, spec, resolved)
        except CheckpointError:
            continue  # said above; what is stored of it cannot be found
        if spec.name not in wrong and not resolved[spec.name].can_be_evaluated:
            problems[spec.name] = (
                f"{spec.name}: its weights are not on this machine, so only stored results are shown."
            )
        for probe_set in study.probe_sets:
            items += _items(
                study,
                store,
                spec,
                probe_set,
                contexts(study, model_identity, pool_numerics, probe_set.probes),
            )
        items += [
            PlanItem(spec.name, features_title(each.kind), "", "images", total, len(missing))
            for each in networks_of(study, store)
            for total, missing in [missing_features(study, store, spec.name, each, resolved)]
            if total
        ]
        if spec.part == "original":  # real pictures are nobody's; they are counted once
            items += [
                PlanItem(spec.name, real_title(each.kind), "", "images", total, len(missing))
                for each in networks_of(study, store)
                for total, missing in [missing_real_features(study, store, each)]
                if total
            ]
    return EvaluationPlan(tuple(items), problems)


def features_title(kind: str) -> str:
    """What stands in place of a probe set where a network looks at pictures of all of them."""
    return f"{kind} features"


def real_title(kind: str) -> str:
    """What stands in place of a probe set where a network looks at real pictures."""
    return f"{kind} features of real pictures"


def chosen(study: Study, models: Sequence[str] | None) -> list[ModelSpec]:
    """Specs of the named models, in the order of the study; all for None."""
    wanted = None if models is None else set(models)
    return [spec for spec in study.models if wanted is None or spec.name in wanted]


def probes_for_kind(kind: Kind, probe_set: ProbeSet, way: SeedSetting, study: Study) -> list[Probe]:
    """Probes of which a study needs evidence of a kind asked for in that way, equal ones once.

    A text without a prompt is scored, not answered; so is a holdout probe, of which membership attacks need nothing
    else, unless the study asks for answers to it, and a set to
    which no answers are wanted. Gradients are of the true answers that those attacks look at.
    """
    unique = {probe.digest(): probe for probe in probe_set.probes}.values()
    if kind == "gradients":
        return [probe for probe in unique if probe.role in FORGOTTEN_ROLES and probe.answer.strip()]
    if kind == "images":
        return [probe for probe in unique if probe.own == way.own]
    if kind == "answers" and not probe_set.answered:
        return []
    if kind == "answers":
        return [p for p in unique if p.prompt and (p.role != "holdout" or study.holdout_answers)]
    return list(unique)


def contexts(
    study: Study, model: ModelIdentity, numerics: str, probes: Sequence[Probe]
) -> dict[Kind, dict[SeedSetting, Context]]:
    """Contexts that an evaluation of these probes fills: kind -> way -> context; scores know no seed and have 0."""
    if study.modality == "image":
        judges = judges_digest(study.judges)
        return {
            "images": {
                way: keys.images_context(
                    model.fingerprint, study.sampling, way.seed, judges, numerics, way.own
                )
                for way in keys.image_seed_settings(study.sampling, probes)
            }
        }
    asked = model.asked or ""
    scores = keys.scores_context(model.fingerprint, model.tokenizer, numerics, study.protocol, asked)
    found: dict[Kind, dict[SeedSetting, Context]] = {
        "scores": {SeedSetting(0): scores},
        "answers": {
            SeedSetting(seed): keys.answers_context(
                model.fingerprint, model.tokenizer, study.decoding, seed, numerics, study.protocol, asked
            )
            for seed in keys.decoding_seeds(study.decoding)
        },
    }
    if study.gradients:
        context = keys.gradients_context(model.fingerprint, model.tokenizer, numerics, study.protocol, asked)
        found["gradients"] = {SeedSetting(0): context}
    return found


def _items(
    study: Study,
    store: Store,
    spec: ModelSpec,
    probe_set: ProbeSet,
    wanted: dict[Kind, dict[SeedSetting, Context]],
) -> list[PlanItem]:
    items = []
    for kind, ways in wanted.items():
        total = missing = 0
        for way, context in ways.items():
            digests = [probe.digest() for probe in probes_for_kind(kind, probe_set, way, study)]
            missing += len(store.missing(context.key, digests))
            total += len(digests)
        items.append(PlanItem(spec.name, probe_set.name, probe_set.role, kind, total, missing))
    return items
