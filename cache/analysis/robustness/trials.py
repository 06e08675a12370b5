"""Attacks on a study as derived studies: what is asked instead, of which models. Runs nothing.

All attacks that ask in another way share one derived study, whose probe sets are the attacks; each attack that makes
other models is a derived study of its own. Evidence of both is ordinary evidence: nothing is kept twice.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from backends.attacks import (
    AskingAttack,
    Attack,
    SamplingAttack,
    Surroundings,
    TouchingAttack,
    TrainingAttack,
    attacks_for,
)
from backends.attacks.asking import plain_of
from backends.attacks.training import NotTrained, Trained, TrainingContext
from backends.errors import BoardError, CheckpointError
from backends.evidence import ANSWER
from backends.study import Features, ModelSpec, Probe, ProbeSet, Role, Study
from cache.store import Store, reading

ATTACKED_ROLES: tuple[Role, ...] = ("forget", "holdout")
"""Holdout facts nobody was taught: what an attack brings out of them it teaches or guesses."""
SUFFIX = " · attacked"
"""Of the name of a derived study, so that its runs are not taken for the study's own."""
LEAST_MODELS = 2
NOT_TRAINED = "it was not trained yet"
HOME = "attacks"
"""Folder in the cache, or beside a study file, of what attacks made."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One attack on the models of a study.

    Attributes:
        attack: which.
        study: the derived one, which may hold other attacks' probes, too.
        models: name in the study -> name in the derived one.
        probes: role -> id of a probe in the derived study -> id of the probe that it is made of.
        also: the same attack the other way round: other models, on other probes.
    """

    attack: Attack
    study: Study
    models: Mapping[str, str]
    probes: Mapping[Role, Mapping[str, str]]
    also: tuple[Trial, ...] = ()

    @property
    def ways(self) -> tuple[Trial, ...]:
        """This one and those the other way round, each by itself."""
        return (replace(self, also=()), *self.also)

    def of(self, names: Collection[str]) -> Trial:
        """The same for some of the models; the derived study stays."""
        held = {name: own for name, own in self.models.items() if name in names}
        return replace(self, models=held, also=tuple(each.of(names) for each in self.also))


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An attack, or one model under it, that cannot be tried; `model` is "" for all of them."""

    attack: str
    why: str
    model: str = ""


@dataclass(frozen=True, slots=True)
class Trials:
    """What of the attacks can be tried on a study, and what cannot and why."""

    trials: tuple[Trial, ...]
    left_out: tuple[LeftOut, ...]

    def studies(self) -> list[Study]:
        """The derived studies, each once."""
        return list({id(way.study): way.study for each in self.trials for way in each.ways}.values())

    def of_study(self, study: Study) -> tuple[str, ...]:
        """Keys of the attacks that a derived study is for."""
        return tuple(
            each.attack.card.key for each in self.trials if any(way.study is study for way in each.ways)
        )

    def models(self) -> list[str]:
        """Names in the study of the models that some attack is tried on, each once."""
        return list(dict.fromkeys(name for each in self.trials for name in each.models))

    def of(self, names: Collection[str]) -> Trials:
        """The same for some of the models; the derived studies stay."""
        return Trials(tuple(each.of(names) for each in self.trials), self.left_out)


def trials(
    study: Study,
    store: Store,
    models: Sequence[str] | None = None,
    attacks: Sequence[Attack] | None = None,
) -> Trials:
    """Derived studies of the attacks (None: all that are for such studies) on the models (None: all).

    The original and the retained model are always among the models: they are ceiling and floor.
    """
    chosen = [each for each in (attacks or attacks_for(study.modality).values())]
    wanted = None if models is None else set(models)
    specs = [
        spec for spec in study.models if spec.part != "unlearned" or wanted is None or spec.name in wanted
    ]
    asked = _attacked_sets(study)
    if not any(each.role == "forget" for each in asked):
        why = "the study has no forget probes"
        return Trials((), tuple(LeftOut(each.card.key, why) for each in chosen))
    around = Surroundings(study, _pieces(study, store))
    found: list[Trial] = []
    left_out: list[LeftOut] = []
    asking = [each for each in chosen if isinstance(each, AskingAttack)]
    found_asking, missing = _asking(study, specs, asked, around, asking)
    left_out += missing
    by_key: dict[str, Trial] = {each.attack.card.key: each for each in found_asking}
    for attack in chosen:
        if attack.card.key in by_key:
            found.append(by_key[attack.card.key])
        elif isinstance(attack, SamplingAttack):
            same = {spec.name: spec.name for spec in specs}
            ids: dict[Role, dict[str, str]] = {
                role: {p.id: p.id for each in asked if each.role == role for p in each.probes}
                for role in ATTACKED_ROLES
            }
            found.append(Trial(attack, study, same, ids))
        elif isinstance(attack, TouchingAttack):
            trial, missing = _touching(study, specs, asked, attack)
            found += [trial] if trial is not None else []
            left_out += missing
        elif isinstance(attack, TrainingAttack):
            trial, missing = _training(study, specs, asked, attack, training_context(study, store))
            found += [trial] if trial is not None else []
            left_out += missing
    return Trials(tuple(found), tuple(left_out))


def training_context(study: Study, store: Store) -> TrainingContext:
    """Where attacks that train keep what they made; it trains nothing. What a study's folder holds counts, too."""
    shipped = (study.path.parent / HOME,) if study.path is not None else ()
    return TrainingContext(study, "cpu", store.path.parent / HOME, train=False, shipped=shipped)


def _attacked_sets(study: Study) -> list[ProbeSet]:
    """Forget and holdout probes with a prompt, and of language models with an answer."""
    sets = [
        replace(
            each,
            probes=tuple(
                p for p in each.probes if p.prompt and (p.answer.strip() or study.modality == "image")
            ),
        )
        for each in study.probe_sets
        if each.role in ATTACKED_ROLES
    ]
    return [each for each in sets if each.probes]


def _answers_wanted(study: Study, role: Role) -> bool:
    """Holdout facts are scored; answers to them are only needed where they are the only floor."""
    return role == "forget" or study.retained is None


def _pieces(study: Study, store: Store) -> dict[str, tuple[str, ...]]:
    """Tokens of the true answers as the original's tokenizer cuts them, by probe digest, from its stored scores."""
    if study.modality == "image":
        return {}
    digests = [probe.digest() for each in _attacked_sets(study) for probe in each.probes]
    try:
        held = reading.text_evidence(study, store, study.original.name, digests)
    except CheckpointError:
        return {}
    return {
        digest: evidence.scores[ANSWER].pieces
        for digest, evidence in held.items()
        if ANSWER in evidence.scores
    }


def _derived(study: Study, sets: Sequence[ProbeSet], specs: Sequence[ModelSpec]) -> Study:
    return replace(
        study,
        name=study.name + SUFFIX,
        models=tuple(specs),
        probe_sets=tuple(sets),
        gradients=False,
        holdout_answers=True,
        denoising=None,
        features=Features(),
        path=None,
    )


def _asking(
    study: Study,
    specs: Sequence[ModelSpec],
    asked: Sequence[ProbeSet],
    around: Surroundings,
    attacks: Sequence[AskingAttack],
) -> tuple[list[Trial], list[LeftOut]]:
    made: list[tuple[AskingAttack, dict[Role, dict[str, str]]]] = []
    left_out: list[LeftOut] = []
    sets: list[ProbeSet] = []
    for attack in attacks:
        ids: dict[Role, dict[str, str]] = {role: {} for role in ATTACKED_ROLES}
        own: list[ProbeSet] = []
        for each in asked:
            variants: list[Probe] = []
            for probe in each.probes:
                for place, variant in enumerate(attack.ask(probe, around)):
                    name = f"{probe.id}#{attack.card.key}:{place}"
                    ids[each.role][name] = probe.id
                    variants.append(replace(variant, id=name))
            if variants:
                name = f"{each.name} · {attack.card.title}"
                answered = attack.card.answered and _answers_wanted(study, each.role)
                own.append(ProbeSet(name, each.role, tuple(variants), each.path, answered=answered))
        if ids["forget"]:
            sets += own
            made.append((attack, ids))
        else:
            why = f"it needs {attack.card.needs}" if attack.card.needs else "no forget probe can be asked so"
            left_out.append(LeftOut(attack.card.key, why))
    derived = _derived(study, sets, specs)
    same = {spec.name: spec.name for spec in specs}
    return [Trial(attack, derived, same, ids) for attack, ids in made], left_out


def _touching(
    study: Study, specs: Sequence[ModelSpec], asked: Sequence[ProbeSet], attack: TouchingAttack
) -> tuple[Trial | None, list[LeftOut]]:
    key = attack.card.key
    names: dict[str, str] = {}
    made: list[ModelSpec] = []
    left_out: list[LeftOut] = []
    for spec in specs:
        try:
            touched = attack.touch(spec, study)
        except BoardError as error:
            if spec.part == "original":  # without a ceiling nothing can be told
                return None, [LeftOut(key, str(error))]
            left_out.append(LeftOut(key, str(error), spec.name))
            continue
        # The parts stay: the touched original is the ceiling of the touched models.
        made.append(replace(touched, part=spec.part, method=spec.method, step=spec.step))
        names[spec.name] = touched.name
    if len(made) < LEAST_MODELS:
        return None, left_out
    bare = [_of(each, None, study) for each in asked]
    ids: dict[Role, dict[str, str]] = {
        role: {p.id: p.id for each in bare if each.role == role for p in each.probes}
        for role in ATTACKED_ROLES
    }
    return Trial(attack, _derived(study, bare, made), names, ids), left_out


def _training(
    study: Study,
    specs: Sequence[ModelSpec],
    asked: Sequence[ProbeSet],
    attack: TrainingAttack,
    context: TrainingContext,
) -> tuple[Trial | None, list[LeftOut]]:
    """The models after the last step, each on the probes that it is judged on; of models that were trained already."""
    key = attack.card.key
    trained: dict[str, tuple[Trained, ...]] = {}
    left_out: list[LeftOut] = []
    for spec in specs:
        try:
            trained[spec.name] = attack.train(context, spec)
        except BoardError as error:
            why = NOT_TRAINED if isinstance(error, NotTrained) else str(error)
            if spec.part == "original":
                return None, [LeftOut(key, why)]
            left_out.append(LeftOut(key, why, spec.name))
    if len(trained) < LEAST_MODELS:
        return None, left_out
    ways: list[Trial] = []
    for place, first in enumerate(trained[study.original.name]):
        names: dict[str, str] = {}
        made: list[ModelSpec] = []
        for spec in specs:
            if spec.name in trained:
                last = trained[spec.name][place].models[-1]
                made.append(replace(last, part=spec.part, method=spec.method, step=spec.step))
                names[spec.name] = last.name
        judged = {probe.id for probe in first.asked}
        sets = [_of(each, judged if each.role == "forget" else None, study) for each in asked]
        sets = [each for each in sets if each.probes]
        ids: dict[Role, dict[str, str]] = {
            role: {p.id: p.id for each in sets if each.role == role for p in each.probes}
            for role in ATTACKED_ROLES
        }
        ways.append(Trial(attack, _derived(study, sets, made), names, ids))
    return replace(ways[0], also=tuple(ways[1:])), left_out


def _of(probe_set: ProbeSet, wanted: Collection[str] | None, study: Study) -> ProbeSet:
    probes = tuple(plain_of(each) for each in probe_set.probes if wanted is None or each.id in wanted)
    return replace(probe_set, probes=probes, answered=_answers_wanted(study, probe_set.role))
