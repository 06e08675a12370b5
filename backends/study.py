"""What a person compares: models, probes and settings, as plain data.

This module defines the values and nothing else: reading `study.toml` is in `study_file.py`, reading probe files in
`probes.py`. It imports nothing heavy, so that a page can use it in milliseconds.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal, get_args

Modality = Literal["text", "image"]
Part = Literal["original", "retained", "unlearned"]
Role = Literal["forget", "neighbour", "retain", "utility", "holdout", "mine"]
ROLES: tuple[Role, ...] = get_args(Role)
ProtocolName = Literal["corrected", "open-unlearning", "muse"]
"""How language models are asked and their answers scored: this tool's own way, or faithfully as another's scripts."""
PROTOCOLS: tuple[ProtocolName, ...] = get_args(ProtocolName)
Quantization = Literal["", "nf4", "int8"]
QUANTIZATIONS: tuple[Quantization, ...] = get_args(Quantization)
RAW_TEXT = "{prompt}"
"""Format of a prompt that is text to be continued: no chat template, nothing around it."""

BEGINNINGS = (
    "<s>",
    "<bos>",
    "[BOS]",
    "<|begin_of_text|>",
    "<|startoftext|>",
    "<|endoftext|>",
    "<｜begin▁of▁sentence｜>",
)
"""Beginning tokens of the field. A format that writes one was asked with two by earlier versions: another question."""


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One model of a study: where its weights are and what it is to the study.

    Attributes:
        name: unique in the study, shown everywhere.
        part: original, retained (retrained without the forget set) or unlearned.
        source: folder, hub id (`hf://owner/name` or `owner/name`) or `package:NAME/FILE.gguf` of the (base) model.
        adapter: PEFT folder or hub id on top of `source`, or None.
        weights: file or folder (or `hf://owner/name/path`) with tensors that replace some of `source` (image models),
            in any shape that `backends/image/version_shapes.py` knows, or None.
        subfolder: folder inside a hub id or a pipeline folder that holds the weights, or "".
        revision: hub revision, or "".
        method: name of the unlearning method ("NPO"), or "".
        step: position along the method's trajectory (optimiser steps), or None.
        fingerprint: declared identity of weights that are not here; such a model is replay-only when its files are
            missing, and is checked against the files when they are there.
        note: free text shown with the model.
        quantization: "nf4" (4 bits) or "int8" (8 bits) loads a language model quantised by bitsandbytes, or "".
        ema: take the averaged copy of the weights where `weights` holds two.
        strength: how far to go from the origin to this model: origin + strength (model - origin); 1 is the model.
        origin: source of the origin, where strength is not 1; made by `backends.strength.dialled`.
        origin_adapter: PEFT folder on top of the origin, or "".
        forget: domain and concept that an image model was made to forget, where it is not the study's target.
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


@dataclass(frozen=True, slots=True)
class Probe:
    """One prompt with its role and its reference answers (text), or its concepts (image).

    Attributes:
        format: what is put around the prompt instead of the model's chat template, "{prompt}" standing for the prompt;
            "" is the protocol's own way. An empty prompt means that the answer is text by itself.
        seed, guidance: that its picture is drawn with instead of the study's seeds and guidance; None for the study's.
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

    @property
    def own(self) -> tuple[str, ...]:
        """Names of the settings that it brings along, "seed" and "guidance" at most."""
        return tuple(name for name in ("seed", "guidance") if getattr(self, name) is not None)

    @property
    def label(self) -> str:
        """What stands for the probe in lists: its prompt, or the text that it is."""
        return self.prompt or self.answer

    def digest(self) -> str:
        """Identity of everything in the row that can change evidence (not its id, tags or role)."""
        return _digest(
            [
                *(self.prompt, self.answer, self.paraphrased_prompt, self.paraphrased_answer),
                *(list(self.perturbed_answers), list(self.options), dict(sorted(self.concepts.items()))),
                *([self.format] if self.format else []),
                *(["one beginning"] if self.format.startswith(BEGINNINGS) else []),
                *([{name: getattr(self, name) for name in self.own}] if self.own else []),
            ]
        )


@dataclass(frozen=True, slots=True)
class Reading:
    """How a probe file is read where its columns do not speak for themselves.

    Attributes:
        columns: column of the file -> ours ("prompt"), or "" for one to be left out.
        format: of all prompts, see `Probe`; "" is what the rows bring along.
        skip_bad_rows: rows that cannot be used are left out, listed by number, instead of refusing the file.
        own_seeds: pictures are drawn with the seeds and guidance that rows bring along, where they do.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    format: str = ""
    skip_bad_rows: bool = False
    own_seeds: bool = True


AS_IS = Reading()


@dataclass(frozen=True, slots=True)
class ProbeSet:
    """Probes of one role from one file; `left_out` says of every row that is not among them where it is and why."""

    name: str
    role: Role
    probes: tuple[Probe, ...]
    path: str = ""
    reading: Reading = AS_IS
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Decoding:
    """How text is generated. Temperature 0 is greedy; one answer for every seed otherwise."""

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
    """How images are sampled: DDIM-like steps, guidance scale, side in pixels (None: the model's own), seeds."""

    steps: int = 25
    guidance: float = 4.0
    size: int | None = None
    seeds: tuple[int, ...] = (1, 2, 3)

    def of(self, probe: Probe) -> Sampling:
        """The settings that a probe is drawn with: these, but for what it brings along."""
        seeds = self.seeds if probe.seed is None else (probe.seed,)
        return replace(
            self, seeds=seeds, guidance=self.guidance if probe.guidance is None else probe.guidance
        )

    def key(self, seed: int) -> str:
        """Identity of the settings for one seed."""
        return _digest(["sampling", self.steps, self.guidance, self.size, seed])


@dataclass(frozen=True, slots=True)
class JudgeSpec:
    """An image classifier that says which concept of one domain ("object", "style") a picture shows.

    Attributes:
        domain: of the concepts it names.
        path: folder of the demo's form, folder or `hf://owner/name` of a classifier or CLIP, or a CSV of judgements.
        classes: concepts to choose among; needed for CLIP, empty takes all of a classifier's.
        labels: the judge's labels and the study's names for them.
        threshold: a picture whose best class is less probable shows nothing recognisable, 0 to 1.
        template: of CLIP's texts.
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
        forget, retain, holdout: folders with `metadata.jsonl` or `.csv` (file_name, text); "" for none. Holdout
            pictures are such as no model saw.
        timesteps: of the training schedule.
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


@dataclass(frozen=True, slots=True)
class Features:
    """Networks that pictures are looked at with, beside the judges: each makes metrics of its own, "" makes none.

    Attributes:
        clip: folder or hub id of a CLIP model of transformers.
        inception: safetensors file, or a folder with one, of InceptionV3 with torchvision's or pytorch-fid's names.
        lpips: network of the package `lpips`, one of LPIPS_NETS.
    """

    clip: str = ""
    inception: str = ""
    lpips: str = ""

    def named(self) -> dict[str, str]:
        """Kind -> what the study names, of those that it names."""
        return {kind: value for kind, value in asdict(self).items() if value}


@dataclass(frozen=True, slots=True)
class Study:
    """Everything that is compared: models, probe sets, settings. Models are in the order they are shown.

    `gradients` asks for the gradient-norm attack, a backward pass for each forget and holdout probe. `forget_concepts`
    is the target of every model that names none, see `backends/targets.py`. `date` (2025-01-31) is what chat templates
    that print one are told; "" is the template's own, or `chat_template.PINNED_DATE`, never today's.
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

    @property
    def original(self) -> ModelSpec:
        """The model everything is compared with."""
        return next(model for model in self.models if model.part == "original")

    @property
    def retained(self) -> ModelSpec | None:
        """The gold standard, where the study has one."""
        return next((model for model in self.models if model.part == "retained"), None)

    def model(self, name: str) -> ModelSpec:
        """The model of that name; KeyError where there is none."""
        for model in self.models:
            if model.name == name:
                return model
        raise KeyError(name)


def spec_digest(spec: ModelSpec) -> str:
    """Identity of the *description* of a model (not of its weights)."""
    described = asdict(spec)
    return _digest(
        described if spec.forget else {name: v for name, v in described.items() if name != "forget"}
    )


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, ensure_ascii=False, sort_keys=True).encode()).hexdigest()[:32]
