"""Trains the demo's judges: which object, which style, or none, on the pictures and on ruins of them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, cross_entropy, interpolate, pad

from app.demo.image_data import OBJECTS, STYLES, Pictures
from backends.image.judges.judges import REJECT, JudgeConfig, JudgeNet

STEPS = 700
_BATCH = 96
_REJECTED = 32


def train_judge(
    domain: str, pictures: Pictures, seed: int, say: Callable[[str], None]
) -> tuple[JudgeConfig, JudgeNet]:
    """A judge for "object" or "style".

    Three of four pictures of a batch are real ones, slightly shifted, blurred and noised as generated ones are; the
    others are ruins, labelled "none".
    """
    names, labels = (OBJECTS, pictures.objects) if domain == "object" else (STYLES, pictures.styles)
    config = JudgeConfig(domain, (*names, REJECT), side=pictures.pixels.shape[1])
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    network = JudgeNet(config)
    images = torch.from_numpy(pictures.pixels).permute(0, 3, 1, 2).float() / 127.5 - 1
    targets = torch.from_numpy(labels)
    grounds = _grounds(images, torch.from_numpy(pictures.styles)) if domain == "object" else images[:0]
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=STEPS)
    for step in range(STEPS):
        rows = torch.randint(len(images), (_BATCH,), generator=generator)
        ruined = ruins(images, grounds, _REJECTED, generator)
        batch = torch.cat([roughened(images[rows], generator), ruined])
        truth = torch.cat([targets[rows], torch.full((len(ruined),), len(names))])
        loss = cross_entropy(network(batch), truth, label_smoothing=0.02)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if (step + 1) % 100 == 0:
            say(f"{domain} judge: step {step + 1} of {STEPS}: loss {loss.item():.3f}")
    return config, network.eval()


def roughened(images: Tensor, generator: torch.Generator) -> Tensor:
    """Real pictures as a model might draw them: shifted, a little blurred, noised, brighter or darker."""
    count = len(images)
    left, up = torch.randint(0, 5, (2,), generator=generator).tolist()
    images = pad(images, (2, 2, 2, 2), mode="replicate")[:, :, up : up + 48, left : left + 48]
    soft = avg_pool2d(pad(images, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    images = images.lerp(soft, torch.rand(count, 1, 1, 1, generator=generator).mul(1.4).sub(0.4).clamp(0, 1))
    noise = torch.randn(images.shape, generator=generator)
    images = images + noise * torch.rand(count, 1, 1, 1, generator=generator).pow(2) * 0.25
    gain, lift = torch.rand(2, count, 1, 1, 1, generator=generator)
    return (images * (0.85 + 0.3 * gain) + (lift - 0.5) * 0.15).clamp(-1, 1)


def ruins(images: Tensor, grounds: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """`count` pictures that show nothing: noise, blobs, one colour, blurs, shuffles, mixtures, empty grounds."""
    side = images.shape[-1]
    rows = torch.randint(len(images), (2, count), generator=generator)
    first, second = images[rows[0]], images[rows[1]]
    kind = torch.arange(count) % (7 if len(grounds) else 6)
    noise = torch.randn(first.shape, generator=generator)
    coarse = torch.randn(count, 3, 4, 4, generator=generator)
    blobs = interpolate(coarse, (side, side), mode="bicubic", align_corners=False)
    plain = coarse[:, :, :1, :1].expand_as(first)
    blurred = interpolate(avg_pool2d(first, 12), (side, side), mode="bilinear", align_corners=False)
    choices = [
        noise * 0.7 + plain * 0.5,
        blobs,
        plain,
        blurred,
        _shuffled(first, generator),
        (first + second) / 2,
    ]
    if len(grounds):
        choices.append(grounds[torch.randint(len(grounds), (count,), generator=generator)])
    picked = torch.stack(choices)[kind, torch.arange(count)]
    return (picked + 0.05 * noise.roll(1, 0)).clamp(-1, 1)


def _shuffled(images: Tensor, generator: torch.Generator, block: int = 12) -> Tensor:
    """Blocks of the picture in another order."""
    count, channels, side, _ = images.shape
    across = side // block
    blocks = images.reshape(count, channels, across, block, across, block).permute(0, 2, 4, 1, 3, 5)
    order = torch.randperm(across * across, generator=generator)
    mixed = blocks.reshape(count, across * across, channels, block, block)[:, order]
    mixed = mixed.reshape(count, across, across, channels, block, block).permute(0, 3, 1, 4, 2, 5)
    return mixed.reshape(images.shape)


def _grounds(images: Tensor, styles: Tensor) -> Tensor:
    """What is left of every style without an object: the median picture, shape (styles, 3, H, W)."""
    return torch.stack([images[styles == style].median(0).values for style in styles.unique()])
