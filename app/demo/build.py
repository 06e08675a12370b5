"""`make demo-pack`: rebuilds the demo from nothing, seeded, with progress, and resumes where it stopped.

Text: train ORIGINAL, RETAINED and the unlearned models, evaluate them. Images: the same. Then the pack:
studies, probes, the weights that ship and one evidence store. Run as `python -m app.demo.build`.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from app.shared.settings import PACK
from backends.checkpoints import compressed
from backends.device import pick_device
from backends.pool import ModelPool
from backends.study import Study
from backends.study.file import read_study
from backends.study.strength import is_dialled
from cache.analysis.scoreboard import scoreboard
from cache.evaluate.context import EvaluationContext
from cache.evaluate.evaluation import Progress, evaluate
from cache.store import Store, open_store
from cache.store.recorded_pack import RECORDED, compress, unpack
from cache.store.shipping import decompress_cells, forget_own_machine

_STARTED = time.perf_counter()


def main() -> None:
    """Reads the command line and builds what it names."""
    parser = argparse.ArgumentParser(prog="python -m app.demo.build", description=__doc__)
    parser.add_argument(
        "--folder", type=Path, default=Path("build/demo"), help="where the work is kept between starts"
    )
    parser.add_argument("--device", default=None, help="cpu, cuda or mps; chosen automatically if not given")
    parser.add_argument(
        "--only",
        choices=("text", "image", "pack", "curves", "numbers"),
        help="one part; pack assembles what is there, curves adds strength curve and denoising steps to the pack "
        "where it lacks them, from the weights in it, numbers derives those in the pack from its evidence again",
    )
    options = parser.parse_args()
    folder: Path = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if options.only in ("curves", "numbers"):
        change_evidence(folder, PACK, ModelPool(options.device) if options.only == "curves" else None)
        return
    pool = ModelPool(options.device)
    store = open_store(folder / "evidence.sqlite")
    if options.only in (None, "text"):
        build_text(folder / "text", pool, store)
    if options.only in (None, "image"):
        build_image(folder / "image", pool, store)
    store.seal()
    store.close()
    if options.only in (None, "pack"):
        assemble(folder, PACK)


def ready_to_ship(path: Path, studies: Sequence[Study]) -> None:
    """A store as the pack has it: small when compressed, with the numbers of the studies derived."""
    decompress_cells(path)
    store = open_store(path)
    forget_own_machine(store)
    for study in studies:
        scoreboard(study, store)
    store.seal()
    store.close()


def build_text(folder: Path, pool: ModelPool, store: Store) -> None:
    """Trains and evaluates the language models."""
    from app.demo.text_pack import text_study, with_strengths
    from app.demo.text_recipe import build

    build(folder, pool.device, _say)
    _evaluate(with_strengths(text_study(folder)), pool, store)


def build_image(folder: Path, pool: ModelPool, store: Store) -> None:
    """Trains, assembles and evaluates the image models; then drops the weights that do not ship."""
    from app.demo import image_data, image_pack, image_recipe

    image_recipe.run(folder, list(image_recipe.STAGES))
    pack = image_data.EMOJI.parent
    study = read_study(pack / "study.toml")
    _evaluate(study, pool, store)
    image_pack.record_steps(study, store, pool)
    image_pack.prune(pack)


def assemble(folder: Path, pack: Path) -> None:
    """Writes the text part of the pack and the one evidence store; the image part is in the pack already."""
    from app.demo import text_pack, text_recipe

    share = text_recipe.base_world_share(folder / "text", pick_device())
    text_pack.write_pack(folder / "text", pack / "text", {"base_world_share": share})
    ready_to_ship(folder / "evidence.sqlite", studies_of(pack))
    compress(folder / "evidence.sqlite", pack)
    compress_weights(pack)
    images = pack / "images"
    shutil.rmtree(images, ignore_errors=True)
    if (folder / "images").exists():
        shutil.copytree(folder / "images", images)
    size = sum(path.stat().st_size for path in pack.rglob("*") if path.is_file())
    _say(f"pack: {size / 1e6:.1f} MB in {pack}")


def change_evidence(folder: Path, pack: Path, pool: ModelPool | None) -> None:
    """Derives the numbers in the pack again from the evidence in it, after metrics changed.

    Args:
        folder: where the work is kept.
        pack: the pack.
        pool: runs the models of curves that the pack lacks; None runs none.
    """
    path, pictures = folder / "pack.sqlite", pack / "images"
    unpack(pack, path)
    shutil.copytree(pictures, folder / "images", dirs_exist_ok=True)
    if pool is not None:
        store = open_store(path)
        record_curves(pack, pool, store)
        store.seal()
        store.close()
        shutil.copytree(folder / "images", pictures, dirs_exist_ok=True)
    ready_to_ship(path, studies_of(pack))
    compress(path, pack)
    _say(f"pack: {(pack / RECORDED).stat().st_size / 1e6:.1f} MB of evidence in {pack}")


def record_curves(pack: Path, pool: ModelPool, store: Store) -> None:
    """Evaluates the strength curve and keeps the denoising steps, where they are missing, from the pack's weights."""
    from app.demo import image_pack

    for study in studies_of(pack):
        if study.modality == "text":
            _evaluate(study, pool, store, [spec.name for spec in study.models if is_dialled(spec)])
        else:
            image_pack.record_steps(study, store, pool)


def studies_of(pack: Path) -> list[Study]:
    """The pack's studies; the text study with its strength curve."""
    from app.demo.text_pack import with_strengths

    read = [read_study(path) for path in sorted(pack.glob("*/study.toml"))]
    return [with_strengths(study) if study.modality == "text" else study for study in read]


def compress_weights(pack: Path) -> None:
    """Compresses the weights of models in the pack; judges are small and read from where they lie."""
    for path in sorted(pack.rglob("*.safetensors")):
        if "judges" not in path.parts:
            compressed.compress(path)


def _evaluate(study: Study, pool: ModelPool, store: Store, names: Sequence[str] | None = None) -> None:
    """Gathers what is missing of these models; None is all."""
    shown = ""

    def report(progress: Progress) -> None:
        nonlocal shown
        line = f"{progress.model}: {progress.probe_set} {progress.kind} {progress.done} of {progress.total}"
        if line != shown and progress.done == progress.total:
            shown = line
            _say(line)

    for name in [model.name for model in study.models] if names is None else names:
        evaluate(EvaluationContext.of(study, store, pool), [name], report)
        pool.release()


def _say(line: str) -> None:
    print(f"{time.perf_counter() - _STARTED:7.0f} s  {line}", flush=True)


if __name__ == "__main__":
    main()
