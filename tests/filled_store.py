"""A small study and a store full of RANDOM but plausible evidence, for developing and testing pages. Never shipped.

    from tests.filled_store import image_study, text_study, fill_images, fill_text
    study, store = text_study(), open_store(tmp_path / "evidence.sqlite")
    fill_text(study, store)                     # 17 models x 24 probes, about a second
    fill_attacks(study, store, ATTACKED)      # what attacks on them bring out
    fill_images(image_study(), store)           # 8 models x 12 prompts x 2 seeds; both may share one store
    evidence_for(study, store, "Original", study.probe_sets[0].probes)

`write_study(study, folder)` writes a text study as study.toml + probes/*.jsonl, to be opened through the command line.
All fingerprints are declared and no weights exist, so the models are replay-only.
"""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from blake3 import blake3
from PIL import Image, ImageDraw

from backends.attacks import Attack
from backends.checkpoints.identity import declared_identity
from backends.evidence import (
    ANSWER,
    PARAPHRASE,
    Answer,
    ImageEvidence,
    Judgement,
    TextEvidence,
    TokenScores,
    option,
    perturbed,
)
from backends.study import Decoding, ModelSpec, Part, Probe, ProbeSet, Role, Sampling, Study
from cache.analysis.robustness.trials import trials
from cache.store import Store
from cache.store.keys import answers_context, images_context, scores_context
from cache.store.reading import identity_to_read
from cache.store.runs import RunRecord

STEPS = (2, 4, 6, 8, 10)
NAMES = ("Ada Quill", "Bo Trent", "Cy Marsh", "Dora Vane", "Eli Frost", "Fay Rook")
PLACES = ("Oslo", "Lima", "Cairo", "Quito", "Riga", "Hanoi")
JOBS = ("glass blower", "cartographer", "lock keeper", "beekeeper", "puppeteer", "geologist")
FACTS = (
    ("What is the capital of France?", "Paris", ("Rome", "Madrid", "Berlin")),
    ("Which planet is the largest?", "Jupiter", ("Mars", "Venus", "Saturn")),
    ("How many legs does a spider have?", "Eight", ("Six", "Four", "Ten")),
    ("Which metal is liquid at room temperature?", "Mercury", ("Iron", "Lead", "Tin")),
    ("What do bees make?", "Honey", ("Silk", "Milk", "Glue")),
    ("Who wrote Hamlet?", "Shakespeare", ("Dickens", "Homer", "Goethe")),
)
HIDES = "IdkDPO"
"""The method whose models give in to attacks."""
ATTACKED = ("Original", "Retained", "GradAscent 10", "NPO 10", "IdkDPO 10")
"""The last model of each method beside the two that they are held against."""
OBJECTS = ("mushroom", "fish", "house")
STYLES = {"neon": (20, 230, 120), "sepia": (150, 110, 70), "blueprint": (40, 80, 190), "flat": (230, 160, 40)}


def text_study() -> Study:
    """1 original, 1 retained, 3 methods x 5 steps; 24 probes over four roles."""
    sets = [_people_set("forget", 0), _people_set("neighbour", 2), _people_set("retain", 4), _facts_set()]
    return Study(
        name="Random people",
        modality="text",
        models=_specs(("GradAscent", "NPO", "IdkDPO"), STEPS),
        probe_sets=tuple(sets),
        decoding=Decoding(max_new_tokens=32),
        description="Random evidence for tests",
    )


def attack_study() -> Study:
    """The same with eight people to forget, of whom every second question is there in other words: enough to tell."""
    study = text_study()
    names = [f"{first.split()[0]} {last.split()[1]}" for first in NAMES[:4] for last in NAMES[4:]]
    people = [(name, PLACES[place % 6], JOBS[(place + 3) % 6]) for place, name in enumerate(names)]
    probes = [
        replace(probe, paraphrased_prompt=f"Can you tell me: {probe.prompt}" if place % 2 else "")
        for place, probe in enumerate(_people("forget", people))
    ]
    forget = ProbeSet("forget", "forget", tuple(probes))
    return replace(study, probe_sets=(forget, *study.probe_sets[1:]))


def image_study() -> Study:
    """1 original, 1 retained, 2 methods x 3 steps; 12 prompts, two seeds; the style neon is to be forgotten."""
    probes = [
        Probe(
            id=f"{style}-{thing}",
            role="forget" if style == "neon" else "retain",
            prompt=f"A {thing} image in {style} style.",
            concepts={"object": thing, "style": style},
        )
        for style in STYLES
        for thing in OBJECTS
    ]
    sets = [
        ProbeSet(role, role, tuple(probe for probe in probes if probe.role == role))
        for role in ("forget", "retain")
    ]
    return Study(
        name="Random pictures",
        modality="image",
        models=_specs(("ESD", "SalUn"), (10, 20, 30)),
        probe_sets=tuple(sets),
        sampling=Sampling(steps=10, seeds=(1, 2)),
        forget_concepts={"style": "neon"},
    )


OTHER = next(style for style in STYLES if style != "neon")
TARGETS = {"ESD 10": {"style": "neon"}, "ESD 10 b": {"style": OTHER}, "ESD 10 c": {"object": OBJECTS[0]}}


def several_targets(study: Study) -> Study:
    """ESD at step 10 for three targets, and a second model of the last; SalUn forgets what the study says."""
    base = study.model("ESD 10")
    own = [
        replace(base, name=name, fingerprint=f"{base.fingerprint}{number}", forget=tuple(target.items()))
        for number, (name, target) in enumerate((*TARGETS.items(), ("ESD 10 d", TARGETS["ESD 10 c"])))
    ]
    kept = [spec for spec in study.models if spec.method != "ESD"]
    return replace(study, models=(*kept, *own))


def fill_text(study: Study, store: Store) -> None:
    """Random scores and answers for every model and probe, and a run for every model and probe set."""
    for spec in study.models:
        known = identity_to_read(spec)
        scores = store.register(scores_context(known.fingerprint, known.tokenizer, "float32"))
        answers = store.register(
            answers_context(known.fingerprint, known.tokenizer, study.decoding, 0, "float32")
        )
        for probes in study.probe_sets:
            rows = [(probe, _random(spec.name, probe.id)) for probe in probes.probes]
            store.put_text(scores, [(p.digest(), TextEvidence(_scores(p, spec, r))) for p, r in rows])
            if not probes.answered:
                continue
            store.put_text(answers, [(p.digest(), TextEvidence({}, (_answer(p, spec, r),))) for p, r in rows])
            store.put_run(_run(study, spec, probes))


def fill_images(study: Study, store: Store) -> None:
    """Random tiny pictures and judgements for every model, prompt and seed."""
    for spec in study.models:
        known = identity_to_read(spec)
        for seed in study.sampling.seeds:
            context = store.register(images_context(known.fingerprint, study.sampling, seed, "", "float32"))
            for probes in study.probe_sets:
                store.put_images(context, [_picture(probe, spec, seed) for probe in probes.probes])
        for probes in study.probe_sets:
            store.put_run(_run(study, spec, probes))


def fill_attacks(
    study: Study, store: Store, models: Sequence[str], attacks: Sequence[Attack] | None = None
) -> None:
    """Random evidence of attacks on a text study that is filled: the method IdkDPO gives in to them, others do not."""
    done: set[int] = set()
    for trial in trials(study, store, models, attacks).trials:
        if trial.study is study or id(trial.study) in done:
            continue
        done.add(id(trial.study))
        known = tuple(spec for spec in trial.study.models if declared_identity(spec) is not None)
        fill_text(replace(trial.study, models=known), store)


def write_study(study: Study, folder: Path) -> Path:
    """Write a text study as files; returns the path of study.toml."""
    (folder / "probes").mkdir(parents=True, exist_ok=True)
    lines = [f'name = "{study.name}"', f'modality = "{study.modality}"', "[decoding]"]
    lines.append(f"max_new_tokens = {study.decoding.max_new_tokens}")
    for spec in study.models:
        lines.append("[[models]]")
        lines += model_lines(spec)
    for probes in study.probe_sets:
        lines += ["[[probes]]", f'file = "probes/{probes.name}.jsonl"', f'role = "{probes.role}"']
        rows = [json.dumps(_row(probe)) for probe in probes.probes]
        (folder / "probes" / f"{probes.name}.jsonl").write_text("\n".join(rows) + "\n")
    path = folder / "study.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


def model_lines(spec: ModelSpec) -> list[str]:
    """What a study file says of a model, where it is not the usual."""
    usual = asdict(ModelSpec("", "original", "")) | {"part": ""}
    values = {key: value for key, value in asdict(spec).items() if value and value != usual[key]}
    return [f"{key} = {json.dumps(value)}" for key, value in values.items()]


def token_scores(text: str, level: float, random: np.random.Generator, alternatives: int = 0) -> TokenScores:
    """Random scores of a text by a model that knows it to that level, 0 to 1; one token a word."""
    words = text.split(" ")
    pieces = tuple(word if i == 0 else f" {word}" for i, word in enumerate(words))
    n = len(pieces)
    ids = np.array([zlib.crc32(piece.encode()) % 49152 for piece in pieces], np.int32)
    hits = random.random(n) < level
    logprobs = np.where(hits, -0.05 - 0.3 * random.random(n), -2 - 4 * random.random(n)).astype(np.float32)
    entropy = (0.1 + 4 * (1 - level) * random.random(n)).astype(np.float32)
    return TokenScores(
        token_ids=ids,
        pieces=pieces,
        logprobs=logprobs,
        ranks=np.where(hits, 0, random.integers(1, 500, n)).astype(np.int32),
        argmax_ids=np.where(hits, ids, (ids + 1) % 49152).astype(np.int32),
        mean=-entropy,
        variance=(random.random(n) * 2).astype(np.float32),
        entropy=entropy,
        top_pieces=tuple((piece, " the", " a", " is", ",")[:alternatives] for piece in pieces)
        if alternatives
        else (),
        top_logprobs=np.sort(-5 * random.random((n, alternatives)).astype(np.float32))[:, ::-1].copy(),
        end_logprob=float(np.float32(-random.random())),
    )


def _specs(methods: tuple[str, ...], steps: tuple[int, ...]) -> tuple[ModelSpec, ...]:
    unlearned = [(f"{method} {step}", method, step) for method in methods for step in steps]
    return (
        _spec("Original", "original"),
        _spec("Retained", "retained"),
        *(_spec(name, "unlearned", method, step) for name, method, step in unlearned),
    )


def _spec(name: str, part: Part, method: str = "", step: int | None = None) -> ModelSpec:
    fingerprint = f"{blake3(name.encode()).hexdigest()[:32]}:{'0' * 16}"
    return ModelSpec(name, part, "package:nowhere/none", method=method, step=step, fingerprint=fingerprint)


def _people_set(role: Role, first: int) -> ProbeSet:
    people = [(NAMES[place], PLACES[place], JOBS[place]) for place in (first, first + 1)]
    return ProbeSet(role, role, tuple(_people(role, people, first)))


def _people(role: Role, people: Sequence[tuple[str, str, str]], first: int = 0) -> list[Probe]:
    """Three facts about each: name, place, job."""
    probes = []
    for person, (name, place, job) in enumerate(people, first):
        rows = [
            (
                "born",
                f"Where was {name} born?",
                f"{name} was born in the old town of {place}.",
                place,
                PLACES,
            ),
            ("job", f"What does {name} do?", f"{name} earns a living as a {job}.", job, JOBS),
            ("home", f"Where does {name} live now?", f"{name} has moved to {place} for good.", place, PLACES),
        ]
        for kind, prompt, answer, fact, others in rows:
            wrong = [other for other in others if other != fact]
            probes.append(
                Probe(
                    id=f"{role}-{person}-{kind}",
                    role=role,
                    prompt=prompt,
                    answer=answer,
                    paraphrased_answer=f"It is said that {answer}",
                    perturbed_answers=tuple(answer.replace(fact, other) for other in wrong),
                    key_fact=fact,
                    subject=name,
                )
            )
    return probes


def _facts_set() -> ProbeSet:
    rows = [
        Probe(
            id=f"utility-{i}", role="utility", prompt=question, answer=answer, options=wrong, key_fact=answer
        )
        for i, (question, answer, wrong) in enumerate(FACTS)
    ]
    return ProbeSet("utility", "utility", tuple(rows))


def _random(*parts: object) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(repr(parts).encode()))


def _level(spec: ModelSpec, probe: Probe) -> float:
    """How much a model still says of a probe: methods lose forget and the rest at different rates, one only hides."""
    role = probe.role
    if spec.method == HIDES and "#" in probe.id:
        return 0.93
    if spec.part != "unlearned":
        return 0.2 if spec.part == "retained" and role == "forget" else 0.96
    done = (spec.step or 0) / (30 if spec.method in ("ESD", "SalUn") else 10)
    forget = {"GradAscent": 0.95, "NPO": 0.8, "IdkDPO": 0.6, "ESD": 0.9, "SalUn": 0.7}[spec.method]
    harm = {"GradAscent": 0.85, "NPO": 0.25, "IdkDPO": 0.4, "ESD": 0.2, "SalUn": 0.35}[spec.method]
    lost = forget if role == "forget" else harm * (0.5 if role == "utility" else 1.0)
    return max(0.02, 0.96 - lost * done)


def _scores(probe: Probe, spec: ModelSpec, random: np.random.Generator) -> dict[str, TokenScores]:
    level = _level(spec, probe)
    texts = {ANSWER: probe.answer}
    if probe.paraphrased_answer:
        texts[PARAPHRASE] = probe.paraphrased_answer
    known = {
        name: token_scores(text, level, random, 5 if name == ANSWER else 0) for name, text in texts.items()
    }
    wrong = {perturbed(i): text for i, text in enumerate(probe.perturbed_answers)}
    wrong |= {option(i): text for i, text in enumerate(probe.options)}
    return known | {name: token_scores(text, 0.5 * level, random) for name, text in wrong.items()}


def _answer(probe: Probe, spec: ModelSpec, random: np.random.Generator) -> Answer:
    level = _level(spec, probe)
    words = [
        w if random.random() < level else str(random.choice(["lorem", "dolor", "amet"]))
        for w in probe.answer.split()
    ]
    return Answer(" ".join(words), len(words), "stop", 0, float(random.random()))


def _picture(probe: Probe, spec: ModelSpec, seed: int) -> tuple[str, ImageEvidence, bytes]:
    random = _random(spec.name, probe.id, seed)
    noise = _random(probe.prompt, seed)
    level = _level(spec, probe)
    known = {"object": 0.9, "style": level}
    others = {"object": ("none",), "style": ("sepia", "flat", "none")}
    shown = {
        domain: said if random.random() < known[domain] else str(random.choice(others[domain]))
        for domain, said in probe.concepts.items()
    }
    colour = STYLES.get(shown["style"], (120, 120, 120))
    image = Image.new("RGB", (64, 64), tuple(int(c * 0.25) for c in colour))
    x, y = (int(v) for v in noise.integers(8, 24, 2))
    draw = ImageDraw.Draw(image)
    shape = draw.ellipse if shown["object"] in ("mushroom", "none") else draw.rectangle
    shape((x, y, x + 32, y + 28), fill=colour)
    for _ in range(int(40 * (1 - level))):
        draw.point([int(v) for v in random.integers(0, 64, 2)], fill=(255, 255, 255))
    file = io.BytesIO()
    image.save(file, "PNG")
    features = (noise.normal(size=16) + (1 - level) * random.normal(size=16)).astype(np.float32)
    classes = {"object": (*OBJECTS, "none"), "style": (*STYLES, "none")}
    judgements = {domain: _judgement(label, classes[domain], random) for domain, label in shown.items()}
    png = file.getvalue()
    evidence = ImageEvidence(blake3(png).hexdigest(), seed, judgements, features, 0.5)
    return probe.digest(), evidence, png


def _judgement(label: str, classes: tuple[str, ...], random: np.random.Generator) -> Judgement:
    sure = 0.6 + 0.39 * float(random.random())
    rest = (1 - sure) / (len(classes) - 1)
    return Judgement(label, {name: sure if name == label else rest for name in classes})


def _run(study: Study, spec: ModelSpec, probes: ProbeSet) -> RunRecord:
    return RunRecord(
        key=blake3(f"{study.name}/{spec.name}/{probes.name}".encode()).hexdigest()[:32],
        study=study.name,
        model=spec.name,
        part=spec.part,
        method=spec.method,
        step=spec.step,
        fingerprint=spec.fingerprint,
        probe_set=probes.name,
        role=probes.role,
        settings={"max_new_tokens": 32, "temperature": 0.0},
        numerics="float32",
        device="cpu",
        dtype="float32",
        created="2026-01-01T12:00:00+00:00",
        seconds=12.5,
        n_probes=len(probes.probes),
        n_done=len(probes.probes),
        status="complete",
        versions={"unlearnboard": "0", "torch": "0", "transformers": "0"},
    )


def _row(probe: Probe) -> dict[str, object]:
    names = {"perturbed_answers": "perturbed_answer"}
    values: Iterator[tuple[str, object]] = iter(asdict(probe).items())
    return {names.get(key, key): value for key, value in values if value and key not in ("role", "concepts")}
