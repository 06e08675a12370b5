"""`make demo-pack`: rebuilds the demo from nothing, seeded, with progress, and resumes where it stopped.

Text: train ORIGINAL, RETAINED and the unlearned models, evaluate them. Images: the same. Then the pack:
studies, probes, the weights that ship and one evidence store. Run as `python -m app.demo.build`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from app.shared.settings import PACK
from backends.attacks import attacks_for
from backends.attacks.training import MADE
from backends.checkpoints import compressed
from backends.device import pick_device
from backends.pool import ModelPool
from backends.study import Study
from backends.study.file import read_study
from backends.study.strength import is_dialled
from cache.analysis.robustness.kept import kept_ladder
from cache.analysis.robustness.trials import HOME, trials
from cache.analysis.scoreboard import scoreboard
from cache.analysis.verdict.kept import kept_verdicts
from cache.evaluate.context import EvaluationContext
from cache.evaluate.evaluation import Progress, evaluate
from cache.store import Store, open_store
from cache.store.recorded_pack import RECORDED, compress, unpack
from cache.store.shipping import decompress_cells, forget_own_machine

NOT_RECORDED = ("soft_prompt", "soft_control")
"""Attacks that take five minutes for each model, and more than that to learn anything."""
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
        choices=("text", "image", "pack", "curves", "attacks", "numbers"),
        help="one part; pack assembles what is there, curves and attacks add to the pack what it lacks of strength "
        "curve and denoising steps, and of attacks, from the weights in it, numbers derives those in the pack from its "
        "evidence again",
    )
    options = parser.parse_args()
    folder: Path = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if options.only in ADDED:
        change_evidence(folder, PACK, ADDED[options.only], ModelPool(options.device))
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
        kept_ladder(study, store, trials(study, store, list(study.attacks.models)))
        as_in_file = replace(study, models=tuple(spec for spec in study.models if not is_dialled(spec)))
        for each in (study, as_in_file):
            kept_verdicts(each, scoreboard(each, store), store)
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


def change_evidence(
    folder: Path, pack: Path, record: Callable[[Path, ModelPool, Store], None], pool: ModelPool
) -> None:
    """Adds evidence to the pack and derives its numbers again.

    Args:
        folder: where the work is kept.
        pack: the pack.
        record: gathers what the pack lacks, told of pack, pool and store.
        pool: runs the models.
    """
    path, pictures = folder / "pack.sqlite", pack / "images"
    unpack(pack, path)
    shutil.copytree(pictures, folder / "images", dirs_exist_ok=True)
    store = open_store(path)
    record(pack, pool, store)
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


def record_attacks(pack: Path, pool: ModelPool, store: Store) -> None:
    """Tries the attacks that the pack lacks on the models that its studies name, and keeps what training made of them.

    Only the digests of trained weights ship: their evidence is shown without them.
    """
    from cache.evaluate.attacks import train_attacks, try_attacks

    for study in studies_of(pack):
        context = EvaluationContext.of(study, store, pool)
        attacks = [each for key, each in attacks_for(study.modality).items() if key not in NOT_RECORDED]
        models = list(study.attacks.models)
        left_out = train_attacks(study, attacks, models, context, _say_step)
        found = trials(study, store, models, attacks)
        left_out += try_attacks(found, context, lambda _, progress: _say_done(progress))
        for each in [*found.left_out, *left_out]:
            _say(f"{study.name}: {each.attack} {each.model} left out: {each.why}")
        _ship_digests(study, store.path.parent, pack / study.modality)
        pool.release()


def _ship_digests(study: Study, work: Path, folder: Path) -> None:
    """Copies what says which weights training gave, of this study's models, to the study."""
    ours = {spec.fingerprint.partition(":")[0] for spec in study.models}
    for made in sorted((work / HOME).rglob(MADE)):
        if json.loads(made.read_text(encoding="utf-8"))["told"]["original"].partition(":")[0] in ours:
            kept = folder / made.relative_to(work)
            kept.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(made, kept)


def _say_step(attack: str, model: str, step: int, last: int) -> None:
    if step == last:
        _say(f"{model}: {attack} trained")


def _say_done(progress: Progress) -> None:
    if progress.done == progress.total:
        _say(f"{progress.model}: {progress.probe_set} {progress.kind}")


def _nothing(_pack: Path, _pool: ModelPool, _store: Store) -> None:
    """Only numbers are derived."""


ADDED: Mapping[str, Callable[[Path, ModelPool, Store], None]] = {
    "curves": record_curves,
    "attacks": record_attacks,
    "numbers": _nothing,
}
"""What can be added to a pack, by the name of the part."""


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
