"""The models and questions that the checks run on: the demo's where they are, else random ones of their shape.

Everything is made when it is first asked for, so that what cannot be made fails only the checks that need it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from backends.device import device_kind
from backends.study import JudgeSpec, ModelSpec, Sampling, Study

TINY_PAIRS = tuple((f"Who wrote book {n}?", f"Ada Quill, on barge {n}.") for n in range(6))
TINY_PROMPTS = ("a cat in neon style", "a rocket in flat style", "a neon rocket")
WIDE_PROMPTS = ("a cat in neon style", "a rocket in flat style", "a lamp", "a house by the sea")


@dataclass(frozen=True)
class Materials:
    """What the checks need.

    Attributes:
        device: that is compared with the CPU: "cuda", "mps" or "cpu".
        folder: where random models are written, and runs keep their files.
        tiny: random models of a few thousand weights in place of the demo's.
    """

    device: str
    folder: Path
    tiny: bool = False

    @property
    def kind(self) -> str:
        """The device without its number."""
        return device_kind(self.device)

    @property
    def tokens(self) -> int:
        """How long answers become at most."""
        return 8 if self.tiny else 48

    @cached_property
    def demo_text(self) -> Study | None:
        """The demo's study of language models, where its weights are on this machine."""
        from app.shared.settings import PACK
        from backends.checkpoints.identity import available
        from backends.study.file import read_study

        study = read_study(PACK / "text" / "study.toml")
        return None if self.tiny or not available(study.original) else study

    @cached_property
    def language(self) -> ModelSpec:
        """A language model without an adapter."""
        from tests.tiny_text import write_tiny_model

        if self.demo_text is not None:
            return replace(self.demo_text.original, name="base", adapter=None, fingerprint="")
        sizes = {"layers": 2, "width": 64} if self.tiny else {"layers": 30, "width": 576, "context": 2048}
        # A random model's scores differ between devices the more, the wider its weights spread.
        spread = 0.3 if self.tiny else 0.05
        folder = write_tiny_model(self.folder / "language", **sizes, spread=spread)
        return ModelSpec("base", "original", str(folder))

    @cached_property
    def adapted(self) -> tuple[ModelSpec, ...]:
        """The language model and three adapters on it."""
        from backends.checkpoints.identity import available, resolve
        from tests.tiny_text import write_tiny_adapter

        if self.demo_text is not None:
            specs = [spec for spec in self.demo_text.models if available(spec) and spec.adapter][:3]
            return (self.language, *(replace(spec, fingerprint="") for spec in specs))
        base = resolve(self.language.source)
        folders = [write_tiny_adapter(base, self.folder / f"adapter-{n}", seed=n) for n in (1, 2, 3)]
        return (
            self.language,
            *(replace(self.language, name=f"adapter {n}", adapter=str(f)) for n, f in enumerate(folders)),
        )

    @cached_property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Questions and answers."""
        if self.demo_text is None:
            return TINY_PAIRS
        probes = [probe for each in self.demo_text.probe_sets for probe in each.probes]
        return tuple((probe.prompt, probe.answer) for probe in probes[:: max(1, len(probes) // 24)][:24])

    @cached_property
    def pictures(self) -> ModelSpec:
        """A small pipeline whose pictures mean something: the demo's."""
        from app.shared.settings import PACK
        from backends.checkpoints.identity import available
        from backends.study.file import read_study
        from tests.tiny_image import write_tiny_pipeline

        if not self.tiny:
            original = read_study(PACK / "image" / "study.toml").original
            if available(original):
                return replace(original, fingerprint="")
        return ModelSpec("Original", "original", str(write_tiny_pipeline(self.folder / "pictures")))

    @cached_property
    def judge(self) -> JudgeSpec:
        """What looks at its pictures."""
        from app.shared.settings import PACK
        from backends.study.file import read_study
        from tests.tiny_image import write_tiny_judge

        if not self.tiny:
            return read_study(PACK / "image" / "study.toml").judges[0]
        return JudgeSpec("object", str(write_tiny_judge(self.folder / "judge")))

    @property
    def sampling(self) -> Sampling:
        """How the small pipeline draws."""
        return Sampling(steps=3 if self.tiny else 20, guidance=2.0)

    @cached_property
    def wide(self) -> ModelSpec:
        """Random weights of Stable Diffusion 1's shape: its own width on a card, narrower elsewhere."""
        from tests.shaped_models import write_stable_diffusion_1
        from tests.tiny_image import write_tiny_stable_diffusion

        folder = self.folder / "wide"
        if self.tiny:
            write_tiny_stable_diffusion(folder)
        else:
            write_stable_diffusion_1(folder, 1 if self.kind == "cuda" else 4, self.device)
        return ModelSpec("wide", "original", str(folder))

    @property
    def wide_sampling(self) -> Sampling:
        """How the pipeline of Stable Diffusion's shape draws."""
        return Sampling(steps=20 if self.kind == "cuda" else 2, guidance=7.5)

    @property
    def wide_dtype(self) -> str:
        """Its number format: half of it on a card, as people run it there."""
        return "bfloat16" if self.kind == "cuda" else "float32"
