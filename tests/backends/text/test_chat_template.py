"""Chat templates: the same text on every day and in every locale, the place of the answer, the token that ends a turn.

The templates here are short ones with the constructs of those that models of the field bring along.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import date, datetime
from pathlib import Path

import pytest
from jinja2 import TemplateError
from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer

from backends.study import ProtocolName
from backends.text.chat_template import ChatTemplate, formatted, turn_end
from backends.text.rendering import rendering_digest
from backends.text.tokens import ChatTokenizer
from tests.tiny_text import CHATML, tiny_tokenizer, write_tiny_model

TURNS = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
WITH_DEFAULT = (
    "{%- if not date_string is defined %}{%- if strftime_now is defined %}"
    '{%- set date_string = strftime_now("%d %b %Y") %}{%- else %}{%- set date_string = "26 Jul 2024" %}'
    "{%- endif %}{%- endif %}<|im_start|>system\nToday Date: {{ date_string }}<|im_end|>\n" + TURNS
)
OWN_DEFAULT = WITH_DEFAULT.replace("26 Jul 2024", "07 Dec 2024")
FIXED_DEFAULT = (
    '{%- if not date_string is defined %}{%- set date_string = "26 Jul 2024" %}{%- endif %}'
    "<|im_start|>system\nToday Date: {{ date_string }}<|im_end|>\n" + TURNS
)
CLOCK = '<|im_start|>system\nCurrent date: {{ strftime_now("%A, %d %B %Y") }}<|im_end|>\n' + TURNS
NOW = "<|im_start|>system\n{{ now().strftime('%Y-%m-%d') }} {{ now().year }}<|im_end|>\n" + TURNS
THINKING = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
    "{% if m['role'] == 'assistant' %}<think>\n\n</think>\n\n{% endif %}{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}"
)
THINKING_FORGOTTEN = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'].split('</think>')[-1] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}"
)
CHANNELS = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}{% if m['role'] == 'assistant' %}<|channel|>final{% endif %}"
    "<|message|>{{ m['content'] }}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant{% endif %}"
)
QUESTION = [{"role": "user", "content": "Who?"}]


def asked(source: str, wanted: str = "") -> str:
    template = ChatTemplate(source)
    return template.filled(QUESTION, template.clock(wanted), open_end=True)


def folder_with(template: str, folder: Path, frame: str = "$A", **settings: object) -> Path:
    """A folder with a tokenizer alone; `frame` is what it puts around texts."""
    tokenizer = tiny_tokenizer(template)
    special = [("<|im_start|>", 1), ("<|im_end|>", 2)]
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single=frame, special_tokens=special)
    tokenizer.save_pretrained(folder)
    config = folder / "tokenizer_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | settings))
    return folder


def tokenizer_of(template: str) -> ChatTokenizer:
    return ChatTokenizer(tiny_tokenizer(template), frozenset())


@pytest.mark.parametrize(
    ("template", "said"),
    [
        (WITH_DEFAULT, "Today Date: 26 Jul 2024"),
        (OWN_DEFAULT, "Today Date: 07 Dec 2024"),
        (FIXED_DEFAULT, "Today Date: 26 Jul 2024"),
        (CLOCK, "Current date: Friday, 26 July 2024"),
        (NOW, "2024-07-26 2024"),
    ],
)
def test_a_date_is_the_templates_own_or_the_pinned_one(template: str, said: str) -> None:
    assert said in asked(template)


@pytest.mark.parametrize(
    ("template", "said"),
    [
        (WITH_DEFAULT, "Today Date: 31 Jan 2025"),
        (OWN_DEFAULT, "Today Date: 31 Jan 2025"),
        (FIXED_DEFAULT, "Today Date: 31 Jan 2025"),
        (CLOCK, "Current date: Friday, 31 January 2025"),
        (NOW, "2025-01-31 2025"),
    ],
)
def test_the_study_may_say_another_date(template: str, said: str) -> None:
    assert said in asked(template, "2025-01-31")


@pytest.mark.parametrize("template", [CHATML, TURNS, THINKING, THINKING_FORGOTTEN, CHANNELS, FIXED_DEFAULT])
def test_without_a_clock_the_text_is_that_of_transformers(template: str) -> None:
    tokenizer = tiny_tokenizer(template)
    for turns, open_end in (
        (QUESTION, True),
        ([*QUESTION, {"role": "assistant", "content": 'Me <|x|> "é" & <b>'}], False),
    ):
        theirs = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=open_end)
        ours = ChatTemplate.of(template, tokenizer.special_tokens_map)
        assert ours.filled(turns, ours.clock(), open_end=open_end) == theirs


def test_filters_tags_and_functions_are_those_of_transformers() -> None:
    source = (
        "{%- set ns = namespace(n=0) -%}{% for m in messages %}{% generation %}{{ m | tojson }}{% endgeneration %}"
        "{% set ns.n = ns.n + 1 %}{% if ns.n > 5 %}{% break %}{% endif %}{% endfor %}{{ ns.n }} {{ bos_token }}"
        "{{ messages[0].content[0:2] | upper }} {{ dict(a=1) | tojson(indent=2) }} {{ '%s' | format('x') }}"
    )
    tokenizer = tiny_tokenizer(source)
    ours = ChatTemplate.of(source, tokenizer.special_tokens_map)
    theirs = tokenizer.apply_chat_template(QUESTION, tokenize=False)
    assert ours.filled(QUESTION, ours.clock(), open_end=False) == theirs


@pytest.mark.parametrize("source", ["{{ ['a', 'b'] | random }}", "{{ lipsum() }}"])
def test_a_template_that_draws_at_random_is_refused(source: str) -> None:
    with pytest.raises(TemplateError, match="random values"):
        asked(source)


def test_a_template_cannot_reach_the_real_clock() -> None:
    for source in ("{{ now().now() }}", "{{ now().today() }}", "{{ now()._at }}", "{{ now().__class__ }}"):
        try:
            assert str(date.today().year) not in asked(source)
        except TemplateError:
            continue


def test_dates_are_in_english_and_utc_whatever_the_machine_says(tmp_path: Path) -> None:
    at = datetime(2024, 7, 6, 15, 4, 5)
    assert formatted(at, "%a %A %b %B %p %-d %e %j %% %z %Z %s") == (
        "Sat Saturday Jul July PM 6  6 188 % +0000 UTC 1720278240"
    )
    script = (
        "import locale, time\n"
        "try: locale.setlocale(locale.LC_ALL, '')\n"
        "except locale.Error: pass\n"
        "from backends.text.rendering import rendering_digest\nfrom pathlib import Path\nimport sys\n"
        "from tests.backends.text.test_chat_template import CLOCK, asked\n"
        "print(asked(CLOCK), rendering_digest(Path(sys.argv[1]), 'corrected'))\n"
    )
    folder = folder_with(CLOCK, tmp_path / "clock")
    said = set()
    for zone, language, threads in (("UTC", "C", "1"), ("Pacific/Kiritimati", "de_DE.UTF-8", "3")):
        env = os.environ | {"TZ": zone, "LC_ALL": language, "LANG": language, "OMP_NUM_THREADS": threads}
        run = [sys.executable, "-c", script, str(folder)]
        said.add(subprocess.run(run, env=env, capture_output=True, text=True, check=True).stdout)
    assert len(said) == 1


@pytest.mark.parametrize(
    ("template", "before"),
    [
        (CHATML, ""),
        (TURNS, ""),
        (THINKING, "\n</think>\n\n"),
        (THINKING_FORGOTTEN, "\n</think>\n\n"),
        (CHANNELS, "<|channel|>final<|message|>"),
        (
            TURNS.replace("{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}", ""),
            "<|im_start|>assistant\n",
        ),
        (TURNS.replace("assistant\n{% endif %}", "assistant{% endif %}"), ""),
    ],
)
def test_an_answer_stands_where_the_template_puts_one(template: str, before: str) -> None:
    made = ChatTemplate(template)
    assert made.placed(made.clock()).before == before
    tokenizer = tokenizer_of(template)
    prompt = tokenizer._tokenizer.decode(tokenizer.prompt_ids("Who?"))
    assert prompt == made.filled(QUESTION, made.clock(), open_end=True) + before
    assert tokenizer.encode("Who?", "Me.").prompt_ids == tokenizer.prompt_ids("Who?")


@pytest.mark.parametrize("template", [THINKING, THINKING_FORGOTTEN, CHANNELS, CLOCK])
def test_after_earlier_turns_an_answer_stands_in_the_same_place_on_the_same_day(template: str) -> None:
    tokenizer = tokenizer_of(template)
    alone = tokenizer._tokenizer.decode(tokenizer.prompt_ids("Who?"))
    turns = (("user", "Where?"), ("assistant", "In Porto."))
    after = tokenizer._tokenizer.decode(tokenizer.prompt_ids("Who?", turns=turns))
    assert after.endswith(alone[alone.index("Who?") :])
    assert after.startswith(
        alone[: alone.index("Who?")].removesuffix("user\n").removesuffix("user<|message|>")
    )
    scored = tokenizer.encode("Who?", "Ada.", turns=turns)
    assert scored.prompt_ids == tokenizer.prompt_ids("Who?", turns=turns)


def test_the_token_that_ends_a_turn_is_what_the_template_writes_after_an_answer() -> None:
    assert turn_end("<|im_end|>\n", ["<|im", "<|im_end|>"]) == "<|im_end|>"
    assert turn_end(" \n</s>", ["</s>"]) == "</s>"
    assert turn_end("\nUser:", ["</s>"]) == "" == turn_end("", ["</s>"])


def test_an_answer_ends_with_the_end_of_the_turn_and_not_with_the_end_of_the_text() -> None:
    hugging = tiny_tokenizer(TURNS)
    hugging.eos_token = "<unk>"
    tokenizer = ChatTokenizer(hugging, frozenset())
    assert tokenizer.encode("Who?", "Me.").end_ids == (hugging.convert_tokens_to_ids("<|im_end|>"),)
    assert tokenizer.ends() == {0, 2}
    assert tokenizer.ends("open-unlearning") == {0}
    # A format of one's own has no turns.
    assert tokenizer.encode("Who?", "Me.", "{prompt}").end_ids == (0,)


def test_no_end_token_inside_a_text_and_one_beginning(tmp_path: Path) -> None:
    folder = folder_with(TURNS, tmp_path / "t", "<|im_start|> $A <|im_end|>")
    tokenizer = ChatTokenizer(AutoTokenizer.from_pretrained(folder), frozenset())
    start, end = 1, 2
    assert tokenizer._tokenizer("a")["input_ids"][::2] == [start, end]
    own = tokenizer.prompt_ids("Who?", "Q: {prompt}\nA: ")
    assert own[0] == start and end not in own
    twice = tokenizer.prompt_ids("Who?", "<|im_start|>Q: {prompt}\nA: ")
    assert twice == own
    raw = tokenizer.encode("", "In the beginning")
    assert (
        raw.prompt_ids == [start] and end not in raw.answer_ids and "".join(raw.pieces) == "In the beginning"
    )
    # As that tool does, which writes it.
    assert tokenizer.encode("", "In", protocol="open-unlearning").answer_ids[-1] == end


@pytest.mark.parametrize("protocol", ["corrected", "open-unlearning", "muse"])
@pytest.mark.parametrize("template", [CHATML, TURNS, FIXED_DEFAULT])
def test_evidence_of_templates_without_a_clock_is_found_under_its_old_name(
    template: str, protocol: ProtocolName, tmp_path: Path
) -> None:
    assert rendering_digest(folder_with(template, tmp_path / "t"), protocol) == ""


def test_what_is_asked_otherwise_than_before_has_a_name_of_its_own(tmp_path: Path) -> None:
    ways: dict[str, tuple[str, dict[str, str]]] = {
        "default": (WITH_DEFAULT, {}),
        "own default": (OWN_DEFAULT, {}),
        "clock": (CLOCK, {}),
        "now": (NOW, {}),
        "thinking": (THINKING, {}),
        "channels": (CHANNELS, {}),
        "end of turn": (TURNS, {"eos_token": "<unk>"}),
        "end token": (TURNS, {"frame": "$A <|im_end|>"}),
    }
    names = {
        name: rendering_digest(folder_with(template, tmp_path / name, **settings), "corrected")
        for name, (template, settings) in ways.items()
    }
    names["plain"] = rendering_digest(folder_with(TURNS, tmp_path / "plain", "<|im_start|> $A"), "corrected")
    assert names.pop("plain") == ""
    assert all(names.values()) and len(set(names.values())) == len(names)


def test_open_unlearning_asks_as_before_but_for_a_clock(tmp_path: Path) -> None:
    assert rendering_digest(folder_with(WITH_DEFAULT, tmp_path / "a"), "open-unlearning") == ""
    assert rendering_digest(folder_with(THINKING, tmp_path / "b"), "open-unlearning") == ""
    assert rendering_digest(folder_with(TURNS, tmp_path / "c", eos_token="<unk>"), "open-unlearning") == ""
    assert rendering_digest(folder_with(CLOCK, tmp_path / "d"), "open-unlearning")
    clock = tokenizer_of(CLOCK)
    ids = clock.prompt_ids("Who?", protocol="open-unlearning")
    assert "Thursday, 10 April 2025" in clock._tokenizer.decode(ids)


@pytest.mark.parametrize(
    ("template", "format", "said"),
    [
        (TURNS, "", []),
        (CLOCK, "", ["prints a date; it is set to 2024-07-26"]),
        (FIXED_DEFAULT, "", ["prints a date; it is set to 2024-07-26"]),
        (THINKING, "", ["after '\\n</think>\\n\\n'"]),
        (TURNS, "<|im_start|>{prompt}", ["it is there once"]),
        (TURNS, "Q: {prompt}", []),
    ],
)
def test_it_is_said_how_a_model_is_asked(template: str, format: str, said: list[str], tmp_path: Path) -> None:
    folder = folder_with(template, tmp_path / "t", "<|im_start|> $A")
    tokenizer = ChatTokenizer(AutoTokenizer.from_pretrained(folder), frozenset())
    notes = tokenizer.notes("corrected", "", format)
    assert len(notes) == len(said) and all(part in note for part, note in zip(said, notes, strict=True))
    assert tokenizer.notes("open-unlearning", "", format) == []


def test_another_date_is_another_name_and_the_same_date_the_same(tmp_path: Path) -> None:
    folder = folder_with(WITH_DEFAULT, tmp_path / "t")
    names = {rendering_digest(folder, "corrected", day) for day in ("", "2025-01-31", "2025-02-01")}
    assert len(names) == 3
    assert rendering_digest(folder, "corrected", "2025-01-31").startswith("2025-01-31 ")
    # A template that prints no date is asked alike whatever the study says.
    assert rendering_digest(folder_with(TURNS, tmp_path / "u"), "corrected", "2025-01-31") == ""


def test_a_study_is_found_without_torch_or_transformers(tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "model")
    folder_with(WITH_DEFAULT, tmp_path / "model")
    script = (
        "import sys\nfrom backends.study import ModelSpec, Study\nfrom cache.store.identities import identity_in\n"
        "spec = ModelSpec('m', 'original', sys.argv[1])\n"
        "assert identity_in(Study('s', 'text', (spec,), ()), spec).asked\n"
        "print(sorted({'torch', 'transformers'} & set(sys.modules)))\n"
    )
    run = [sys.executable, "-c", script, str(tmp_path / "model")]
    assert subprocess.run(run, capture_output=True, text=True, check=True).stdout.strip() == "[]"
