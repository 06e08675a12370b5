"""What a person compares: models, probes and settings, as plain data.

This module defines the values and nothing else: reading `study.toml` is in `file.py`, reading probe files in
`backends.probes`. It imports nothing heavy, so that a page can use it in milliseconds.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal, get_args

from backends.study.attack_choice import ALL_ATTACKS, AttackChoice
from backends.study.contract import Condition
from backends.study.inference import PLAIN, Inference
from backends.study.request import NOTHING_SAID, Request
from backends.study.start import Start
from backends.study.thresholds import USUAL, Thresholds

Modality = Literal["text", "image"]
Part = Literal["original", "retained", "unlearned"]
Role = Literal["forget", "neighbour", "retain", "utility", "holdout", "mine"]
ROLES: tuple[Role, ...] = get_args(Role)
ProtocolName = Literal["corrected", "open-unlearning", "muse"]
"""How language models are prompted and their answers scored: this tool's own way, or faithfully as another's
scripts.
"""
PROTOCOL_NAMES: tuple[ProtocolName, ...] = get_args(ProtocolName)
Quantization = Literal["", "nf4", "int8"]
QUANTIZATIONS: tuple[Quantization, ...] = get_args(Quantization)
RAW_TEXT = "{prompt}"
"""Format of a prompt that is text to be continued: no chat template, nothing around it."""
Turns = tuple[tuple[str, str], ...]
"""Earlier turns of a conversation, (role, text) in order."""

OWN_SETTINGS = ("seed", "guidance", "negative_prompt")
"""Settings of a drawing that a probe may bring along."""

_MARKS = ("<|begin_of_text|>", "<|startoftext|>", "<|endoftext|>", "<｜begin▁of▁sentence｜>")
BEGINNINGS = ("<s>", "<bos>", "[BOS]", *_MARKS)
"""Beginning tokens of the field. A format that writes one was asked with two by earlier versions: another question."""


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One model of a study: where its weights are and what it is to the study.

    Attributes:
        name: unique in the study, shown everywhere.
        part: original, retained (retrained without the forget set) or unlearned.
        source: folder, hub id (`hf://owner/name` or `owner/name`) or `package:NAME/FILE.gguf` of the (base) model.
        adapter: PEFT folder or hub id on top of `source`, or None.
        weights: file or folder (or `hf://owner/name/path`) with tensors that replace some of `source`,
            in any of the documented formats, or None.
        subfolder: folder inside a hub id or a pipeline folder that holds the weights, or "".
        revision: hub revision, or "".
        method: name of the unlearning method ("NPO"), or "".
        step: position along the method's trajectory (optimiser steps), or None.
        seed: that the model was trained with, or None; runs of one method and step with different seeds are averaged.
        fingerprint: declared identity of weights that are not here; such a model is recorded only when its files are
            missing, and is checked against the files when they are there.
        note: free text shown with the model.
        quantization: "nf4" (4 bits) or "int8" (8 bits) loads a language model quantised by bitsandbytes, or "".
        ema: take the averaged copy of the weights where `weights` holds two.
        strength: how far to go from the origin to this model: origin + strength (model - origin); 1 is the model.
        origin: source of the origin, where strength is not 1 or the touch needs the original; set by
            `backends.study.strength` and `backends.study.touch`.
        origin_adapter: PEFT folder on top of the origin, or "".
        forget: domain and concept that an image model was made to forget, where it is not the study's target.
        inference: how an image model draws apart from its weights: negative prompt, SLD, SAFREE.
        embeddings: learned tokens that an image model's prompts may use: token ("" for the file's own) and file or
            folder (or `hf://owner/name/path`). For a language model the one file of a soft prompt, see
            `backends/text/soft_prompts.py`; a study file has none.
        touch: how a model is changed without training: "round:4" (bits), "prune:30" (% of each matrix), "sham:0"
            (seed); of language models "exit:12" (layer) or "exit:50%", "project:12", "contrast:2", "amplify:1"; of
            image models "begun:2" (steps).
    """

    name: str
    part: Part
    source: str
    adapter: str | None = None
    weights: str | None = None
    subfolder: str = ""
    revision: str = ""
    method: str = ""
    step: int | None = None
    fingerprint: str = ""
    note: str = ""
    quantization: Quantization = ""
    ema: bool = False
    strength: float = 1.0
    origin: str = ""
    origin_adapter: str = ""
    forget: tuple[tuple[str, str], ...] = ()
    inference: Inference = PLAIN
    embeddings: tuple[tuple[str, str], ...] = ()
    seed: int | None = None
    touch: str = ""

    @property
    def samples_differently(self) -> bool:
        """Whether its pictures differ from those of its weights alone: by how it draws, or by tokens it learned."""
        return self.inference.said or bool(self.embeddings)


class _Digested:
    """Has a place for a digest, which is no field: neither copied, compared nor written anywhere."""

    __slots__ = ("_digest",)
    _digest: str


@dataclass(frozen=True, slots=True)
class Probe(_Digested):
    """One prompt with its role and its reference answers (text), or its concepts (image).

    Attributes:
        format: what is put around the prompt instead of the model's chat template, "{prompt}" standing for the prompt;
            "" is the protocol's own way. An empty prompt means that the answer is text without a prompt.
        seed, guidance, negative_prompt: that its picture is drawn with instead of the study's; None for the study's.
        start: real picture that its picture begins from, or None for noise alone.
        turns: what was said before the prompt, (role, text) in order; the role is "system", "user" or "assistant".
        accepted: further answers that count as the true one in what a model wrote; only `answer` is scored.
        answer_prefix: text that the model's answer is made to begin with. `answer` and every other answer that is
            scored are what follows it, and prefix and answer are one text with nothing added between them.
        rewordings: further questions for the same answer, (kind, text). Kinds are "alias", "hop" (the question takes
            another step to the same fact), "misspelled" and "translated:" with the language behind it. No evidence
            of this probe depends on them: they are not part of its digest.
    """

    id: str
    role: Role
    prompt: str
    answer: str = ""
    paraphrased_prompt: str = ""
    paraphrased_answer: str = ""
    perturbed_answers: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    key_fact: str = ""
    subject: str = ""
    tags: tuple[str, ...] = ()
    concepts: Mapping[str, str] = field(default_factory=dict)
    format: str = ""
    seed: int | None = None
    guidance: float | None = None
    negative_prompt: str | None = None
    start: Start | None = None
    turns: Turns = ()
    accepted: tuple[str, ...] = ()
    answer_prefix: str = ""
    rewordings: tuple[tuple[str, str], ...] = ()

    @property
    def own(self) -> tuple[str, ...]:
        """Names of the settings that it brings along, of `OWN_SETTINGS`."""
        return tuple(name for name in OWN_SETTINGS if getattr(self, name) is not None)

    @property
    def references(self) -> tuple[str, ...]:
        """All answers that count as the true one in what a model wrote."""
        return (self.answer, *self.accepted) if self.answer else ()

    @property
    def label(self) -> str:
        """What stands for the probe in lists: its prompt, or the text that it is."""
        return self.prompt or self.answer

    def digest(self) -> str:
        """Identity of all in the row that can change evidence (not its id, tags, role, accepted answers, rewordings).

        Made once for each probe: thousands of probes are looked up for every model, by every page.
        """
        try:
            return self._digest
        except AttributeError:
            object.__setattr__(self, "_digest", self._made_digest())
            return self._digest

    def _made_digest(self) -> str:
        return _digest(
            [
                *(self.prompt, self.answer, self.paraphrased_prompt, self.paraphrased_answer),
                *(list(self.perturbed_answers), list(self.options), dict(sorted(self.concepts.items()))),
                *([self.format] if self.format else []),
                *(["one beginning"] if self.format.startswith(BEGINNINGS) else []),
                *([{name: getattr(self, name) for name in self.own}] if self.own else []),
                *([{"start": self.start.identity()}] if self.start is not None else []),
                *([{"turns": [list(turn) for turn in self.turns]}] if self.turns else []),
                *([{"answer_prefix": self.answer_prefix}] if self.answer_prefix else []),
            ]
        )


@dataclass(frozen=True, slots=True)
class Reading:
    """How a probe file is read where its columns do not speak for themselves.

    Attributes:
        columns: name of a column in the file and ours ("prompt"), or "" where it is left out.
        format: what is put around every prompt, "{prompt}" standing for it; "" is what the rows bring along.
        skip_bad_rows: rows that cannot be used are left out, listed by number, instead of refusing the file.
        own_seeds: pictures are drawn with the seeds and guidance that rows bring along, where they do.
        encoding: of the file's text ("cp1252"), where it is not Unicode.
        split: which of several splits in one file is meant, or "".
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    format: str = ""
    skip_bad_rows: bool = False
    own_seeds: bool = True
    encoding: str = ""
    split: str = ""


DEFAULT_READING = Reading()


@dataclass(frozen=True, slots=True)
class ReadingReport:
    """How a probe file was read, so that a person can check it.

    Attributes:
        rows: how many the file has.
        container: its form ("CSV, separated by semicolons; UTF-8 with BOM").
        shape: the benchmark whose columns these are, or "".
        columns: column of the file and what it became, in the order of the file.
        alarms: sentences that go above everything else: no answers found, letters are scored as text.
        notes: further sentences that a person should know.
    """

    rows: int = 0
    container: str = ""
    shape: str = ""
    columns: tuple[tuple[str, str], ...] = ()
    alarms: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProbeSet:
    """Probes of one role from one file.

    Attributes:
        name: unique in the study; the file's name where the study gives none.
        role: what the probes are asked for.
        probes: in the order of the file.
        path: the file, or "".
        reading: how the file was to be read.
        left_out: of every row that is not among the probes: where it is, and why.
        how: how the file was read.
        answered: answers are written to them; else only their given answers are scored.
    """

    name: str
    role: Role
    probes: tuple[Probe, ...]
    path: str = ""
    reading: Reading = DEFAULT_READING
    left_out: tuple[str, ...] = ()
    how: ReadingReport = field(default=ReadingReport(), compare=False)
    answered: bool = True


@dataclass(frozen=True, slots=True)
class Decoding:
    """How text is generated.

    Attributes:
        max_new_tokens: where an answer ends at the latest.
        temperature: 0 is greedy decoding; above it, answers are sampled.
        top_p: nucleus sampling: the smallest set of most probable tokens that reaches this probability.
        seeds: one answer for each; greedy decoding ignores them.
    """

    max_new_tokens: int = 64
    temperature: float = 0.0
    top_p: float = 1.0
    seeds: tuple[int, ...] = (0,)

    def key(self) -> str:
        """Identity of one seed's settings is `key()` of a Decoding with that one seed; greedy ignores seeds."""
        seeds = () if self.temperature == 0 else self.seeds
        top_p = 1.0 if self.temperature == 0 else self.top_p
        return _digest(["decoding", self.max_new_tokens, self.temperature, top_p, list(seeds)])


@dataclass(frozen=True, slots=True)
class Sampling:
    """How images are sampled.

    Attributes:
        steps: of the scheduler, for one picture.
        guidance: scale of classifier-free guidance.
        size: side in pixels, or width and height; left out, the model's own.
        seeds: one picture for each.
        negative_prompt: of all models that have none of their own, "" for the empty prompt.
        scheduler: instead of each pipeline's own, by name ("DPM++ 2M Karras"), or "".
    """

    steps: int = 25
    guidance: float = 4.0
    size: int | tuple[int, int] | None = None
    seeds: tuple[int, ...] = (1, 2, 3)
    negative_prompt: str = ""
    scheduler: str = ""

    @property
    def width_height(self) -> tuple[int, int] | None:
        """Of a picture in pixels; None for the model's own."""
        return (self.size, self.size) if isinstance(self.size, int) else self.size

    def added(self) -> dict[str, str]:
        """Settings that came later than evidence: part of identities only where they are set."""
        later = {"negative_prompt": self.negative_prompt, "scheduler": self.scheduler}
        return {name: value for name, value in later.items() if value}

    def of(self, probe: Probe) -> Sampling:
        """The settings that a probe is drawn with: these, but for what it brings along."""
        negative = self.negative_prompt if probe.negative_prompt is None else probe.negative_prompt
        return replace(
            self,
            seeds=self.seeds if probe.seed is None else (probe.seed,),
            guidance=self.guidance if probe.guidance is None else probe.guidance,
            negative_prompt=negative,
        )

    def key(self, seed: int) -> str:
        """Identity of the settings for one seed."""
        added = self.added()
        return _digest(["sampling", self.steps, self.guidance, self.size, seed, *([added] if added else [])])


NUDENET = "nudenet"
"""Path of the judge that is NudeNet's detector, in the package of that name."""
NUDENET_THRESHOLD = 0.6
"""As MACE and RECE count (Lu et al. 2024, Gong et al. 2024); UnlearnDiffAtk and AdvUnlearn count from 0.45."""


@dataclass(frozen=True, slots=True)
class JudgeSpec:
    """An image classifier that says which concept of one domain ("object", "style") a picture shows.

    Attributes:
        domain: what its concepts are of ("object", "style").
        path: folder of the demo's form, folder or `hf://owner/name` of a classifier or CLIP, a CSV of judgements, or
            "nudenet".
        classes: concepts to choose among; empty takes all of a classifier's, and for CLIP those that the probes name.
        labels: the judge's labels and the study's names for them.
        threshold: a picture whose best class is less probable shows nothing recognisable, 0 to 1.
        template: text that CLIP compares a picture with, for each class.
        real: folder with a subfolder of real pictures for each class, on which the judge is tested, or a JSON of what
            it said of such pictures (`asked`, `shown`); "" for none.
    """

    domain: str
    path: str
    classes: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    threshold: float = 0.0
    template: str = "a photo of a {concept}"
    real: str = ""


@dataclass(frozen=True, slots=True)
class Denoising:
    """Real pictures on which image models' denoising losses are measured, and at which timesteps.

    Attributes:
        forget, retain, holdout: folder with `metadata.jsonl` or `.csv` (file_name, text), or "". No model saw the
            holdout pictures.
        timesteps: of the training schedule at which the loss is measured.
    """

    forget: str = ""
    retain: str = ""
    holdout: str = ""
    timesteps: tuple[int, ...] = (100, 300, 500, 700, 900)

    def folders(self) -> dict[str, str]:
        """Role -> folder, of those that are named."""
        named = {"forget": self.forget, "retain": self.retain, "holdout": self.holdout}
        return {role: folder for role, folder in named.items() if folder}


LPIPS_NETS = ("alex", "vgg", "squeeze")
KEPT_ROLES: tuple[Role, ...] = ("retain", "neighbour", "utility")
"""Whose pictures should stay as they were, and are compared with others as sets."""


@dataclass(frozen=True, slots=True)
class Features:
    """Networks that pictures are looked at with, beside the judges: each makes metrics of its own, "" makes none.

    Attributes:
        clip: folder or hub id of a CLIP model of transformers.
        inception: safetensors file, or a folder with one, of InceptionV3 with torchvision's or pytorch-fid's names.
        lpips: network of the package `lpips` ("alex", "vgg" or "squeeze").
        real: folder of real pictures that models' pictures are compared with as a set, by role.
    """

    clip: str = ""
    inception: str = ""
    lpips: str = ""
    real: tuple[tuple[str, str], ...] = ()

    def named(self) -> dict[str, str]:
        """Kind -> what the study names, of the networks that it names."""
        named = {"clip": self.clip, "inception": self.inception, "lpips": self.lpips}
        return {kind: value for kind, value in named.items() if value}

    def real_for(self, role: str) -> str:
        """The folder of real pictures for a role, or ""."""
        return dict(self.real).get(role, "")


@dataclass(frozen=True, slots=True)
class Study:
    """Everything that is compared: models, probe sets, settings.

    Attributes:
        name: shown in the sidebar and in exported files.
        modality: language models ("text") or image diffusion models ("image").
        models: in the order they are shown; exactly one is the original.
        probe_sets: what is asked, with the role of each set.
        decoding, sampling: how answers and pictures are made.
        judges: what looks at pictures.
        forget_concepts: target of every model that names none, see `backends/study/targets.py`.
        description: shown below the name.
        path: the study file, or None.
        protocol: how language models are prompted and their answers scored.
        gradients: ask for the gradient-norm attack, a backward pass for each forget and holdout probe.
        denoising: real pictures on which denoising losses are measured, or None.
        features: networks that look at pictures beside the judges.
        date: the date that chat templates print ("2025-01-31"); "" is the template's own date, or
            2024-07-26, never today's.
        holdout_answers: write answers to holdout probes, too; membership attacks need only their scores.
        verdict: where the verdict on a model draws its lines.
        contract: what every unlearned model must keep to.
        request: who asked for what to be forgotten, for the report.
        attacks: which attacks are tried on which models where nobody says otherwise.
    """

    name: str
    modality: Modality
    models: tuple[ModelSpec, ...]
    probe_sets: tuple[ProbeSet, ...]
    decoding: Decoding = Decoding()
    sampling: Sampling = Sampling()
    judges: tuple[JudgeSpec, ...] = ()
    forget_concepts: Mapping[str, str] = field(default_factory=dict)
    description: str = ""
    path: Path | None = None
    protocol: ProtocolName = "corrected"
    gradients: bool = False
    denoising: Denoising | None = None
    features: Features = Features()
    date: str = ""
    holdout_answers: bool = False
    verdict: Thresholds = USUAL
    contract: tuple[Condition, ...] = ()
    request: Request = NOTHING_SAID
    attacks: AttackChoice = ALL_ATTACKS

    @property
    def original(self) -> ModelSpec:
        """The model everything is compared with."""
        return next(model for model in self.models if model.part == "original")

    @property
    def retained(self) -> ModelSpec | None:
        """The gold standard, where the study has one."""
        return next((model for model in self.models if model.part == "retained"), None)

    def model(self, name: str) -> ModelSpec:
        """The model of that name; KeyError if there is none."""
        for model in self.models:
            if model.name == name:
                return model
        raise KeyError(name)


def spec_digest(spec: ModelSpec) -> str:
    """Identity of the *description* of a model (not of its weights)."""
    later = {
        "forget": spec.forget,
        "inference": spec.inference.said,
        "embeddings": spec.embeddings,
        "seed": spec.seed is not None,
        "touch": spec.touch,
    }
    unset = {name for name, value in later.items() if not value}
    return _digest({name: value for name, value in asdict(spec).items() if name not in unset})


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, ensure_ascii=False, sort_keys=True).encode()).hexdigest()[:32]
