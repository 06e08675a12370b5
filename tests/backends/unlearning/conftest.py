"""A tiny diffusion model with pictures and text states to forget and to retain."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from app.demo.image_model import build_pipeline
from backends.unlearning.image_batches import Concepts
from tests.tiny_image import SIDE, WORDS


@pytest.fixture
def parts() -> tuple[torch.nn.Module, object, Concepts]:
    pipe = build_pipeline(WORDS, seed=0, side=SIDE, channels=(8, 16), width=16, groups=4)
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    latents = (4, 27, SIDE // 3, SIDE // 3)
    concepts = Concepts(
        normal(*latents),
        normal(4, 16, 16),
        normal(4, 16, 16),
        normal(1, 16, 16),
        normal(*latents),
        normal(4, 16, 16),
        normal(*latents),
        torch.randint(4, 14, (4, 16), generator=generator),
        torch.randint(4, 14, (4, 16), generator=generator),
    )
    return pipe.unet, pipe.scheduler, concepts
