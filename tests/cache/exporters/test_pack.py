"""A packed study gives every number and picture where there are no weights; a hostile one gives one sentence."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.cli.main import run
from backends.errors import BoardError, StoreError
from backends.study import Probe, Study
from backends.study.file import read_study
from backends.study.writing import write_study as write_study_file
from cache.analysis.scoreboard import scoreboard
from cache.evaluate.context import EvaluationContext
from cache.evaluate.evaluation import evaluate
from cache.exporters.pack import Packed, write_pack
from cache.importers import import_results
from cache.importers.imported_runs import choices
from cache.importers.pack import open_pack
from cache.store import Store, open_store
from cache.store.check import check
from cache.store.reading import images_for
from cache.store.results import collections
from tests.cache.evaluate.test_image_evaluation import PaintingPool
from tests.cache.store.test_features import study as study  # a fixture
from tests.cache.store.test_merge import saves as saves  # a fixture
from tests.filled_store import fill_images, fill_text, image_study, text_study, write_study
from tests.tiny_text import write_tiny_adapter, write_tiny_model


@pytest.fixture
def text(tmp_path: Path) -> Study:
    return read_study(write_study(text_study(), tmp_path / "study"))


@pytest.fixture
def image(tmp_path: Path) -> Study:
    """As `image_study`, from files, with a judge and real pictures that are on no other machine."""
    folder = tmp_path / "study"
    (folder / "judge").mkdir(parents=True)
    lines = ['name = "Pictures"', 'modality = "image"', "[sampling]", "seeds = [1, 2]"]
    made = image_study()
    for spec in made.models:
        lines += ["[[models]]", f'name = "{spec.name}"', f'part = "{spec.part}"', f'source = "{spec.source}"']
        lines += [f'fingerprint = "{spec.fingerprint}"', f'method = "{spec.method}"']
        lines += [f"step = {spec.step}"] if spec.step is not None else []
    for each in made.probe_sets:
        rows = [{"id": p.id, "prompt": p.prompt, **p.concepts} for p in each.probes]
        (folder / f"{each.name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
        lines += ["[[probes]]", f'file = "{each.name}.jsonl"', f'role = "{each.role}"']
    (folder / "study.toml").write_text("\n".join([*lines, "[forget]", 'style = "neon"']))
    return read_study(folder / "study.toml")


def new_store(folder: Path) -> Store:
    return open_store(folder / "evidence.sqlite")


def numbers(study: Study, store: Store) -> dict[tuple[str, str], list[float]]:
    frame = scoreboard(study, store).frame
    return {(row.model, row.key): [row.value, row.low, row.high, row.n] for row in frame.itertuples()}


def assert_equal(
    ours: dict[tuple[str, str], list[float]], theirs: dict[tuple[str, str], list[float]]
) -> None:
    assert ours and list(ours) == list(theirs)
    both = np.array(list(ours.values()), float), np.array(list(theirs.values()), float)
    assert np.allclose(*both, rtol=0, atol=1e-12, equal_nan=True)


def packed(study: Study, store: Store, target: Path) -> Packed:
    made = write_pack(study, store, target)
    assert made.differing == ()
    return made


def elsewhere(path: Path, tmp_path: Path) -> tuple[Study, Store]:
    """The study as somebody else opens it, in an empty cache."""
    store = new_store(tmp_path / "elsewhere")
    return read_study(open_pack(path, store).study), store


def test_every_number_of_a_text_study_is_the_same_in_an_empty_cache(text: Study, tmp_path: Path) -> None:
    mine = new_store(tmp_path / "mine")
    fill_text(text, mine)
    fill_images(image_study(), mine)  # another study, which is not packed
    made = packed(text, mine, tmp_path / "text.pack")
    assert (made.runs, made.pictures, made.imported) == (len(mine.runs(text.name)), 0, 0)
    shutil.rmtree(text.path.parent if text.path else tmp_path)
    study, theirs = elsewhere(tmp_path / "text.pack", tmp_path)
    assert_equal(numbers(text, mine), numbers(study, theirs))
    assert {run.study for run in theirs.runs()} == {text.name}
    assert theirs.runs() == mine.runs(text.name)
    assert study.probe_sets[0].probes == text.probe_sets[0].probes


def test_every_picture_of_an_image_study_is_there_and_no_other(image: Study, tmp_path: Path) -> None:
    mine = new_store(tmp_path / "mine")
    fill_images(image, mine)
    other = replace(
        image, models=tuple(replace(s, fingerprint=f"other {s.fingerprint}") for s in image.models)
    )
    fill_images(other, mine)
    made = packed(image, mine, tmp_path / "image.pack")
    study, theirs = elsewhere(tmp_path / "image.pack", tmp_path)
    assert_equal(numbers(image, mine), numbers(study, theirs))
    probes = [probe for each in study.probe_sets for probe in each.probes]
    for spec in study.models:
        ours, shown = (
            images_for(s, store, spec.name, probes) for s, store in ((image, mine), (study, theirs))
        )
        assert len(shown) == len(probes)
        for probe, seeds in shown.items():
            for seed, picture in seeds.items():
                assert picture.image == ours[probe][seed].image
                assert theirs.image_path(picture.image).is_file()
    pictures = check(theirs).kinds["pictures"]
    assert (pictures.whole, pictures.unused) == (made.pictures, 0)


def test_models_that_were_evaluated_are_shown_where_their_weights_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "study"
    base = write_tiny_model(folder / "base")
    write_tiny_adapter(base, folder / "npo", seed=3)
    rows = [{"question": f"Who is {n}?", "answer": f"The person {n}."} for n in range(3)]
    (folder / "forget.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (folder / "study.toml").write_text(
        'name = "Tiny"\nmodality = "text"\ndate = "2024-07-26"\n[decoding]\nmax_new_tokens = 3\n'
        '[[models]]\nname = "Original"\npart = "original"\nsource = "base"\n'
        '[[models]]\nname = "NPO"\npart = "unlearned"\nsource = "base"\nadapter = "npo"\n'
        '[[probes]]\nfile = "forget.jsonl"\nrole = "forget"\n'
    )
    monkeypatch.setattr("cache.store.recorded_pack.RECORDED", "none")
    monkeypatch.setenv("UNLEARNBOARD_CACHE", str(tmp_path / "mine"))
    assert run(["evaluate", str(folder / "study.toml")]) == 0
    before = numbers(read_study(folder / "study.toml"), new_store(tmp_path / "mine"))
    assert run(["cache", "pack", str(folder / "study.toml"), "--to", str(tmp_path / "tiny.pack")]) == 0
    assert "unlearnboard tiny.pack" in capsys.readouterr().out
    shutil.rmtree(folder)
    shutil.rmtree(tmp_path / "mine")
    monkeypatch.setenv("UNLEARNBOARD_CACHE", str(tmp_path / "theirs"))
    started: list[object] = []
    monkeypatch.setattr("runpy.run_module", lambda *_, **__: started.append(1))
    monkeypatch.setenv("UNLEARNBOARD_STUDIES", "")
    assert run([str(tmp_path / "tiny.pack"), "--no-browser", "--port", "18431"]) == 0
    assert started
    assert "Cannot be used" not in capsys.readouterr().err
    (path,) = (tmp_path / "theirs" / "packs").glob("*/study.toml")
    assert str(tmp_path) not in path.read_text()
    assert_equal(before, numbers(read_study(path), new_store(tmp_path / "theirs")))
    assert run(["cache", "merge", str(tmp_path / "tiny.pack")]) == 0
    assert "has nothing new" in capsys.readouterr().out


def test_what_networks_and_judges_said_is_packed_with_the_real_pictures_sets(
    study: Study, tmp_path: Path
) -> None:
    """The real pictures themselves are not; what their folder held is."""
    folder = tmp_path / "written"
    folder.mkdir()
    rows = [{"id": p.id, "prompt": p.prompt, **p.concepts} for p in study.probe_sets[0].probes]
    (folder / "retain.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (folder / "real").mkdir()
    for number in range(3):
        Image.new("RGB", (16, 16), (80 * number, 20, 90)).save(folder / "real" / f"{number}.png")
    sets = (replace(study.probe_sets[0], path=str(folder / "retain.jsonl")),)
    features = replace(study.features, real=(("retain", str(folder / "real")),))
    write_study_file(replace(study, probe_sets=sets, features=features), folder / "study.toml")
    written, mine = read_study(folder / "study.toml"), new_store(tmp_path / "mine")
    evaluate(EvaluationContext.of(written, mine, PaintingPool()))
    before = numbers(written, mine)
    assert {key for _, key in before} >= {"retain/clip_score", "retain/fid_real_clip"}
    packed(written, mine, tmp_path / "squares.pack")
    for gone in (folder, tmp_path / "tiny-clip", tmp_path / "judge", tmp_path / "Original", tmp_path / "ESD"):
        shutil.rmtree(gone)
    theirs_study, theirs = elsewhere(tmp_path / "squares.pack", tmp_path)
    assert_equal(before, numbers(theirs_study, theirs))


def test_imported_results_and_their_reference_are_packed(saves: Path, text: Study, tmp_path: Path) -> None:
    mine = new_store(tmp_path / "mine")
    fill_text(text, mine)
    import_results(mine, [saves])
    made = packed(text, mine, tmp_path / "text.pack")
    assert made.imported == 3
    _, theirs = elsewhere(tmp_path / "text.pack", tmp_path)
    assert collections(theirs) == collections(mine)
    assert choices(theirs) == choices(mine)


def test_answers_to_prompts_of_ones_own_stay_at_home(text: Study, tmp_path: Path) -> None:
    mine = new_store(tmp_path / "mine")
    own = replace(text.probe_sets[0], probes=(Probe("own", "forget", "What is my secret?", "It is this."),))
    fill_text(replace(text, probe_sets=(*text.probe_sets, replace(own, name="own"))), mine)
    packed(text, mine, tmp_path / "text.pack")
    with zipfile.ZipFile(tmp_path / "text.pack") as archive:
        assert b"What is my secret?" not in archive.read("study.toml")
    _, theirs = elsewhere(tmp_path / "text.pack", tmp_path)
    digest = own.probes[0].digest()
    assert all(
        digest in mine.missing(key, [digest]) or theirs.missing(key, [digest]) for key in keys_of(theirs)
    )
    assert any(not mine.missing(key, [digest]) for key in keys_of(mine))


def keys_of(store: Store) -> list[str]:
    return [context.key for context in store.contexts()]


def test_a_study_that_was_not_evaluated_is_not_packed(text: Study, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="Nothing of 'Random people' is evaluated"):
        write_pack(text, new_store(tmp_path / "mine"), tmp_path / "text.pack")
    assert not (tmp_path / "text.pack").exists()
    assert not list(tmp_path.glob(".pack-*"))


def test_numbers_that_a_pack_would_lose_are_said(
    text: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = new_store(tmp_path / "mine")
    fill_text(text, mine)
    monkeypatch.setattr("cache.exporters.pack.text_contexts", lambda *_: mine.contexts()[:1])
    made = write_pack(text, mine, tmp_path / "text.pack")
    assert made.differing


# Packs of strangers


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good")
    study, store = read_study(write_study(text_study(), folder / "study")), new_store(folder / "mine")
    fill_text(study, store)
    write_pack(study, store, folder / "good.pack")
    return folder / "good.pack"


def changed(good: Path, target: Path, change: Callable[[zipfile.ZipFile, dict[str, bytes]], None]) -> Path:
    with zipfile.ZipFile(good) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        change(archive, held)
        for name, content in held.items():
            archive.writestr(name, content)
    return target


def outside(archive: zipfile.ZipFile, held: dict[str, bytes]) -> None:
    archive.writestr("../outside.txt", b"got out")


def absolute(archive: zipfile.ZipFile, held: dict[str, bytes]) -> None:
    archive.writestr("/tmp/outside.txt", b"got out")


def backslash(archive: zipfile.ZipFile, held: dict[str, bytes]) -> None:
    archive.writestr("probes/1/..\\..\\outside.txt", b"got out")


def link(archive: zipfile.ZipFile, held: dict[str, bytes]) -> None:
    entry = zipfile.ZipInfo("probes/8/link.jsonl")
    entry.external_attr = 0o120777 << 16
    archive.writestr(entry, "/etc/passwd")


def parent_folder(archive: zipfile.ZipFile, held: dict[str, bytes]) -> None:
    archive.writestr("probes/1/..", b"got out")


def bomb(archive: zipfile.ZipFile, held: dict[str, bytes]) -> None:
    archive.writestr("probes/9/bomb.jsonl", bytes(400_000_000))


def twice(archive: zipfile.ZipFile, held: dict[str, bytes]) -> None:
    archive.writestr("pack.json", held["pack.json"])


def no_study(archive: zipfile.ZipFile, held: dict[str, bytes]) -> None:
    del held["study.toml"]


def newer(archive: zipfile.ZipFile, held: dict[str, bytes]) -> None:
    held["pack.json"] = b'{"format": 99}'


def deep(archive: zipfile.ZipFile, held: dict[str, bytes]) -> None:
    held["pack.json"] = b"[" * 100_000


def foreign_probes(archive: zipfile.ZipFile, held: dict[str, bytes]) -> None:
    held["study.toml"] = held["study.toml"].replace(b'file = "probes/', b'file = "/etc/passwd" # ', 1)


def foreign_weights(archive: zipfile.ZipFile, held: dict[str, bytes]) -> None:
    held["study.toml"] = held["study.toml"].replace(b'source = "', b'source = "../../', 1)


def probes_of_the_hub(archive: zipfile.ZipFile, held: dict[str, bytes]) -> None:
    held["study.toml"] = held["study.toml"].replace(b'file = "probes/', b'file = "hf://owner/name/', 1)


def pickle(archive: zipfile.ZipFile, held: dict[str, bytes]) -> None:
    name = next(name for name in held if name.startswith("probes/"))
    held["probes/1/evil.pkl"] = b"\x80\x04cos\nsystem\n(S'touch /tmp/evil'\ntR."
    held["study.toml"] = held["study.toml"].replace(name.encode(), b"probes/1/evil.pkl", 1)


def no_database(archive: zipfile.ZipFile, held: dict[str, bytes]) -> None:
    held["evidence.sqlite"] = b"hello " * 1000


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (outside, r"holds '../outside.txt', which does not belong into it"),
        (absolute, "which does not belong into it"),
        (backslash, "which does not belong into it"),
        (parent_folder, "which does not belong into it"),
        (link, "holds probes/8/link.jsonl, which is no plain file"),
        (bomb, "unpacks to more than 200 times its size"),
        pytest.param(
            twice, "holds pack.json twice", marks=pytest.mark.filterwarnings("ignore:Duplicate name")
        ),
        (no_study, "has no study.toml"),
        (newer, "written by a newer UnlearnBoard"),
        (deep, "is nested too deeply"),
        (foreign_probes, "names what is outside of it"),
        (foreign_weights, "names what is outside of it"),
        (probes_of_the_hub, "has probes that are not in it"),
        (pickle, "evil.pkl"),
        (no_database, "not an UnlearnBoard cache"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_hostile_pack_is_refused_in_one_sentence_and_leaves_nothing(
    good: Path, tmp_path: Path, change: Callable[[zipfile.ZipFile, dict[str, bytes]], None], said: str
) -> None:
    path = changed(good, tmp_path / "bad.pack", change)
    store = new_store(tmp_path / "mine")
    with pytest.raises(BoardError, match=said) as raised:
        open_pack(path, store)
    assert "\n" not in str(raised.value)
    assert store.contexts() == [] and store.runs() == []
    assert [each for each in (tmp_path / "mine" / "packs").rglob("*") if each.is_file()] == []
    assert not (tmp_path / "outside.txt").exists() and not (tmp_path / "mine" / "outside.txt").exists()


def test_a_pack_that_was_cut_off_is_refused(good: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.pack"
    path.write_bytes(good.read_bytes()[:-2000])
    with pytest.raises(StoreError, match=r"cut\.pack: this pack cannot be unpacked"):
        open_pack(path, new_store(tmp_path / "mine"))


def test_a_pack_whose_bytes_were_changed_is_refused(good: Path, tmp_path: Path) -> None:
    content = bytearray(good.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path = tmp_path / "changed.pack"
    path.write_bytes(content)
    with pytest.raises(StoreError, match="this pack cannot be unpacked"):
        open_pack(path, new_store(tmp_path / "mine"))
