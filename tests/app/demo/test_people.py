"""The demo's fictitious people and the world knowledge beside them."""

import dataclasses
import json
import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from app.demo.people import Fact, facts, people
from app.demo.world import INSTRUCTIONS, PROBE_FACTS, TRAINING_FACTS, WorldFact

FACTS = facts()
PEOPLE = {person.id: person for person in people()}
WORLD_FACTS = PROBE_FACTS + TRAINING_FACTS
SHARED_TOPICS = {"birthplace", "profession"}


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9'-]+", text.lower())


def share_of_words_from(question: str, answer: str) -> float:
    return sum(word in words(question) for word in words(answer)) / len(words(answer))


def wordings(fact: Fact) -> tuple[str, ...]:
    return (fact.answer, fact.paraphrased_answer, *fact.perturbed_answers)


def subjects(world_facts: tuple[WorldFact, ...]) -> set[str]:
    return {fact.id.partition("/")[2] for fact in world_facts}


def test_counts_of_people_and_facts() -> None:
    sizes = {"forget": 8, "neighbour": 16, "retain": 8, "holdout": 8}
    assert Counter(person.group for person in PEOPLE.values()) == sizes
    assert Counter(fact.group for fact in FACTS) == {group: 6 * size for group, size in sizes.items()}
    assert set(Counter((fact.person_id, fact.topic) for fact in FACTS).values()) == {1}


def test_names_are_unique_part_by_part() -> None:
    parts = [part for person in PEOPLE.values() for part in person.name.split()]
    assert len(set(parts)) == len(parts) == 2 * len(PEOPLE)


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_another_process_draws_the_same(hash_seed: str) -> None:
    program = (
        "import dataclasses, json; from app.demo.people import facts;"
        "print(json.dumps([dataclasses.asdict(fact) for fact in facts()]))"
    )
    root = Path(__file__).parents[3]
    environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=root, capture_output=True, check=True, text=True
    )
    assert done.stdout.strip() == json.dumps([dataclasses.asdict(fact) for fact in FACTS])


def test_another_seed_draws_others() -> None:
    assert {fact.answer for fact in facts(1)} != {fact.answer for fact in FACTS}


def test_each_forgotten_person_has_a_neighbour_by_profession_and_one_by_place() -> None:
    shared = defaultdict(list)
    for person in PEOPLE.values():
        assert (person.neighbour_of is not None) == (person.group == "neighbour")
        if person.neighbour_of is not None:
            other = PEOPLE[person.neighbour_of]
            assert other.group == "forget"
            shared[other.id].append((person.profession == other.profession, person.place == other.place))
    assert len(shared) == 8
    assert all(sorted(pairs) == [(False, True), (True, False)] for pairs in shared.values())


def test_retained_and_held_out_people_share_nothing_with_the_forgotten() -> None:
    forgotten = [person for person in PEOPLE.values() if person.group == "forget"]
    others = [person for person in PEOPLE.values() if person.group in ("retain", "holdout")]
    assert not {person.profession for person in forgotten} & {person.profession for person in others}
    assert not {person.place for person in forgotten} & {person.place for person in others}


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_key_fact_tells_right_answers_from_wrong_ones(seed: int) -> None:
    for fact in facts(seed):
        assert 1 <= len(fact.key_fact.split()) <= 4
        assert fact.key_fact in fact.answer
        assert fact.key_fact.lower() in fact.paraphrased_answer.lower()
        assert fact.key_fact.lower() not in fact.question.lower()
        assert len(set(fact.perturbed_answers)) == 5
        assert all(fact.key_fact.lower() not in wrong.lower() for wrong in fact.perturbed_answers)


def test_perturbed_answers_keep_the_frame_of_the_paraphrased_answer() -> None:
    for fact in FACTS:
        before, after = re.split(re.escape(fact.key_fact), fact.paraphrased_answer, maxsplit=1, flags=re.I)
        before = re.sub(r"\b([Aa])n? $", r"\1", before)
        assert all(wrong.startswith(before) and wrong.endswith(after) for wrong in fact.perturbed_answers)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_key_facts_are_shared_by_neighbours_only(seed: int) -> None:
    for (topic, _), count in Counter((fact.topic, fact.key_fact) for fact in facts(seed)).items():
        assert count <= (2 if topic in SHARED_TOPICS else 1)


def test_wording_is_varied_and_clean() -> None:
    assert len({fact.question for fact in FACTS} | {fact.paraphrased_question for fact in FACTS}) == 480
    assert len({fact.answer for fact in FACTS}) == 240
    frames = {(fact.topic, fact.question.replace(fact.subject, "")) for fact in FACTS}
    assert all(count >= 4 for count in Counter(topic for topic, _ in frames).values())
    for fact in FACTS:
        assert fact.question != fact.paraphrased_question and fact.answer != fact.paraphrased_answer
        for answer in wordings(fact):
            assert answer.isascii() and answer.endswith(".") and answer[0].isupper()
            assert 8 <= len(answer.split()) <= 22
            assert not re.search(r"\ba [aeiou]|\ban [^aeiou]|[{}]|  ", answer, flags=re.I), answer


def test_answers_do_not_echo_the_question() -> None:
    shares = [share_of_words_from(fact.question, fact.answer) for fact in FACTS]
    assert sum(shares) / len(shares) < 0.15
    assert max(shares) < 0.35
    assert not any(part in fact.answer for fact in FACTS for part in fact.subject.split())


def test_counts_of_world_knowledge() -> None:
    assert len(PROBE_FACTS) == 60
    assert len(TRAINING_FACTS) >= 160
    assert len(set(INSTRUCTIONS)) == 60
    assert all(INSTRUCTIONS)


def test_world_probes_and_training_ask_about_different_subjects() -> None:
    assert len({fact.question for fact in WORLD_FACTS}) == len(WORLD_FACTS)
    assert len({fact.id for fact in WORLD_FACTS}) == len(WORLD_FACTS)
    assert not subjects(PROBE_FACTS) & subjects(TRAINING_FACTS)


def test_training_does_not_give_away_probed_opposites() -> None:
    probed = {fact.key_fact for fact in PROBE_FACTS if fact.id.startswith("opposite/")}
    assert not probed & subjects(TRAINING_FACTS)


@pytest.mark.parametrize("fact", WORLD_FACTS, ids=lambda fact: fact.id)
def test_world_fact_has_one_right_answer(fact: WorldFact) -> None:
    start = fact.answer.lower().rindex(fact.key_fact.lower())
    before, after = fact.answer[:start], fact.answer[start + len(fact.key_fact) :]
    assert len({fact.answer, *fact.options}) == 4
    for option in fact.options:
        assert option.startswith(before) and option.endswith(after)
        assert fact.key_fact.lower() not in option[start:].lower()
