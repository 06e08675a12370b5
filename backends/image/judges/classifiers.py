"""Judges from transformers: any image classifier, and CLIP asked which of some concepts a picture shows.

Weights are read from safetensors only, code of a folder is never run. A picture whose best class is not probable enough
is "none": noise is then not counted as forgetting.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from backends.checkpoints.tensors import read_json
from backends.errors import CheckpointError
from backends.evidence import Judgement
from backends.image.checkpoints.fitting import load_whole
from backends.interfaces import JudgedImage
from backends.study import JudgeSpec

REJECT = "none"
_BATCH = 32


class ClassifierJudge:
    """A `backends.interfaces.Judge` around a classifier: logits over its own labels, which a study may rename.

    Args:
        spec: names, threshold, the classes to choose among.
        model: transformers' image classifier.
        processor: prepares pictures for it.
        device: where it runs.
        notes: what loading it did, in sentences.
    """

    def __init__(
        self, spec: JudgeSpec, model: Any, processor: Any, device: str, notes: Sequence[str] = ()
    ) -> None:
        self.notes = tuple(notes)
        self._spec = spec
        self._model = model.eval().to(device)
        self._processor = processor
        self._device = device
        renamed = dict(spec.labels)
        labels: Mapping[int, str] = model.config.id2label
        names = [renamed.get(label, label) for _, label in sorted(labels.items())]
        kept = spec.classes or tuple(dict.fromkeys(names))
        if missing := [name for name in kept if name not in names]:
            raise CheckpointError(
                f"this classifier has no class {missing[0]!r}; it has {_some(tuple(dict.fromkeys(names)))}",
                where=spec.path,
                how='Rename its labels with labels = { "theirs" = "ours" }',
            )
        self._classes = kept
        # Several labels may be renamed to one concept: their probabilities are added.
        self._places = [[place for place, name in enumerate(names) if name == each] for each in kept]

    @property
    def domain(self) -> str:
        """Which concepts it names."""
        return self._spec.domain

    @property
    def classes(self) -> tuple[str, ...]:
        """What it can say, "none" aside."""
        return self._classes

    @torch.inference_mode()
    def judge(self, pixels: Sequence[NDArray[np.uint8]]) -> list[JudgedImage | None]:
        """Judgements in the order of the pictures; features are what the last linear layer sees."""
        judged: list[JudgedImage | None] = []
        seen: list[Tensor] = []
        head = _head(self._model)
        hook = head.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
        try:
            for start in range(0, len(pixels), _BATCH):
                seen.clear()
                logits = self._model(**self._prepared(pixels[start : start + _BATCH])).logits.float()
                shares = logits.softmax(-1)
                grouped = torch.stack([shares[:, places].sum(-1) for places in self._places], dim=-1)
                features = seen[-1].float().reshape(len(shares), -1)
                judged += [self._judged(*row) for row in zip(grouped, features, strict=True)]
        finally:
            hook.remove()
        return judged

    def _prepared(self, pixels: Sequence[NDArray[np.uint8]]) -> Any:
        return self._processor(images=list(pixels), return_tensors="pt").to(self._device)

    def _judged(self, shares: Tensor, features: Tensor) -> JudgedImage:
        return JudgedImage(
            decided(dict(zip(self._classes, shares.cpu().tolist(), strict=True)), self._spec.threshold),
            features.cpu().numpy().astype(np.float32),
        )


class ZeroShotJudge:
    """A `backends.interfaces.Judge` around CLIP: which of the study's concepts is the picture nearest to?

    Probabilities are the softmax over the given concepts of CLIP's own scaled similarities (Radford et al. 2021,
    section 3.1), so they say which concept fits best, not whether any does: set a threshold.
    """

    def __init__(
        self,
        spec: JudgeSpec,
        model: Any,
        processor: Any,
        tokenizer: Any,
        device: str,
        notes: Sequence[str] = (),
    ) -> None:
        if len(spec.classes) < 2:
            raise CheckpointError(
                "CLIP needs a list of concepts",
                where=spec.path,
                how='Add classes = ["cat", "dog", ...] to this judge, two or more',
            )
        self.notes = (*notes, f"CLIP chooses among {_some(spec.classes)}")
        self._spec = spec
        self._model = model.eval().to(device)
        self._processor = processor
        self._device = device
        with torch.inference_mode():
            texts = [spec.template.replace("{concept}", name) for name in spec.classes]
            batch = tokenizer(texts, padding=True, truncation=True, return_tensors="pt").to(device)
            self._texts = _unit(pooled(model.get_text_features(**batch)))

    @property
    def domain(self) -> str:
        """Which concepts it names."""
        return self._spec.domain

    @property
    def classes(self) -> tuple[str, ...]:
        """What it can say, "none" aside."""
        return self._spec.classes

    @torch.inference_mode()
    def judge(self, pixels: Sequence[NDArray[np.uint8]]) -> list[JudgedImage | None]:
        """Judgements in the order of the pictures; features are the unit image embeddings."""
        judged: list[JudgedImage | None] = []
        for start in range(0, len(pixels), _BATCH):
            batch = self._processor(images=list(pixels[start : start + _BATCH]), return_tensors="pt")
            images = _unit(pooled(self._model.get_image_features(**batch.to(self._device))))
            shares = (self._model.logit_scale.exp() * images @ self._texts.T).softmax(-1)
            for row, embedding in zip(shares.cpu().tolist(), images.cpu(), strict=True):
                said = decided(dict(zip(self.classes, row, strict=True)), self._spec.threshold)
                judged.append(JudgedImage(said, embedding.numpy().astype(np.float32)))
        return judged


def decided(shares: Mapping[str, float], threshold: float) -> Judgement:
    """The most probable class; "none" where it is less probable than the threshold. Shares are made to sum to 1."""
    total = sum(shares.values()) or 1.0
    known = {name: share / total for name, share in shares.items()}
    best = max(known, key=known.__getitem__)
    # Against the probability before the others were dropped: a picture of something else is none of these.
    return Judgement(best if shares[best] >= threshold else REJECT, known)


def load_transformers_judge(spec: JudgeSpec, folder: Path, device: str) -> ClassifierJudge | ZeroShotJudge:
    """The judge in a folder of transformers.

    Raises:
        CheckpointError: no image classifier and no CLIP, pickled weights, or a damaged folder.
    """
    from transformers import AutoImageProcessor, AutoModelForImageClassification, AutoTokenizer, CLIPModel

    config = read_json(folder / "config.json")
    safe: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    clip = config.get("model_type") == "clip"
    loader = CLIPModel if clip else AutoModelForImageClassification
    try:
        model, notes = load_whole(loader, folder, "CLIP model" if clip else "image classifier")
        processor = AutoImageProcessor.from_pretrained(folder, **safe)
        tokenizer = AutoTokenizer.from_pretrained(folder, **safe) if clip else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, ImportError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise CheckpointError(
            f"transformers cannot load this image classifier ({first})",
            where=str(folder),
            how="A judge is an image classifier or CLIP with its preprocessor, a folder of the demo's form, or a CSV",
        ) from error
    if clip:
        return ZeroShotJudge(spec, model, processor, tokenizer, device, notes)
    return ClassifierJudge(spec, model, processor, device, notes)


def _head(model: nn.Module) -> nn.Module:
    linear = [module for module in model.modules() if isinstance(module, nn.Linear)]
    return linear[-1] if linear else model


def pooled(output: Any) -> Tensor:
    """Embeddings, shape (B, D): newer versions of transformers wrap them."""
    found: Tensor = output if isinstance(output, Tensor) else output.pooler_output
    return found.float()


def _unit(vectors: Tensor) -> Tensor:
    return vectors / vectors.norm(dim=-1, keepdim=True)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
