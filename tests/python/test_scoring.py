"""Laws of the scoring example, over generated people and cards: a missing source is
never held against anybody, a disputed item is left out, nothing takes points away."""

import random
import sys
import tempfile
import unittest
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

sys.path.append(str(Path(__file__).resolve().parents[2] / "examples/python"))
from scoring_service import CARD, Known, known_of, read_card, score  # noqa: E402

AGENCIES = ("lending", "employment", "social_security", "traffic", "volunteering", "education")
PEOPLE = 3000


def person(chance, card):
    """What is known of somebody: any value, also from agencies not on the card."""
    known = {}
    for one in card.characteristics:
        for agency in {one.agency, chance.choice(AGENCIES)}:
            if chance.random() < 0.85:
                value = Decimal(chance.choice(["0", "0.5", "0.9", "0.95", "1", "7", "20", "60"]))
                known[one.item, agency] = Known(value, "2026-01-01", chance.random() < 0.1)
    return known


def lost(known, agency):
    """The same person while this agency does not answer."""
    return {key: held for key, held in known.items() if key[1] != agency}


class Part:
    """What one agency said, as the protocol's message reads."""

    def __init__(self, agency, number):
        self.agency, self.disputed = agency, False
        self.as_of = SimpleNamespace(year=2026, month=1, day=1)
        decimal = SimpleNamespace(value=number)
        self.value = SimpleNamespace(decimal=decimal, WhichOneof=lambda _: "decimal")

    def HasField(self, _):  # noqa: N802
        return True


class Laws(unittest.TestCase):
    def setUp(self):
        self.card, self.chance = read_card(CARD), random.Random(20260101)
        self.people = [person(self.chance, self.card) for _ in range(PEOPLE)]

    def test_a_missing_agency_is_as_if_it_were_not_on_the_card(self):
        scored = 0
        for known in self.people:
            for agency in AGENCIES:
                missing = score(self.card, lost(known, agency))
                absent = score(self.card.without(agency), known)
                for part in ("score", "perks", "used"):
                    self.assertEqual(missing[part], absent[part])
                scored += missing["score"] is not None
        self.assertGreater(scored, PEOPLE)

    def test_nothing_known_is_no_score_and_no_agencys_absence_is_used(self):
        nothing = score(self.card, {})
        self.assertIsNone(nothing["score"])
        self.assertEqual(nothing["perks"], [])
        self.assertEqual(len(nothing["unknown_left_out"]), len(self.card.characteristics))
        for known in self.people:
            result = score(self.card, known)
            held = {(line["item"], line["agency"]) for line in result["used"]}
            self.assertLessEqual(held, known.keys())

    def test_what_another_owner_could_displace_is_said_and_counts_the_same(self):
        for known in self.people:
            result = score(self.card, known)
            self.assertEqual(result["provisional"], [])
            open_ones = {key: replace(held, provisional=True) for key, held in known.items()}
            marked = score(self.card, open_ones)
            self.assertEqual(marked["score"], result["score"])
            self.assertEqual(marked["provisional"], [l["code"] for l in result["used"]])

    def test_a_part_of_a_sum_that_is_not_stated_is_still_its_agencys_word(self):
        answer = SimpleNamespace(profile=SimpleNamespace(items=[], gaps=[SimpleNamespace(
            id="volunteering.service.hours_12m", alternatives=[Part("volunteering", "41.5")],
        )]))  # fmt: skip
        known = known_of(answer)
        held = known["volunteering.service.hours_12m", "volunteering"]
        self.assertEqual((held.value, held.provisional), (Decimal("41.5"), True))
        self.assertNotIn(("volunteering.service.hours_12m", ""), known)

    def test_what_is_disputed_is_left_out_and_said(self):
        for known in self.people:
            result = score(self.card, known)
            disputed = {(l["item"], l["agency"]) for l in result["disputed_left_out"]}
            self.assertTrue(all(known[key].disputed for key in disputed))
            self.assertFalse(any(known[l["item"], l["agency"]].disputed for l in result["used"]))
            undisputed = {key: held for key, held in known.items() if not held.disputed}
            self.assertEqual(score(self.card, undisputed)["score"], result["score"])

    def test_a_score_is_what_its_lines_add_up_to(self):
        card, scored = self.card, 0
        for known in self.people:
            result = score(card, known)
            codes = [l["code"] for part in ("used", "disputed_left_out", "unknown_left_out")
                     for l in result[part]]  # fmt: skip
            self.assertEqual(sorted(codes), sorted(c.code for c in card.characteristics))
            if result["score"] is None:
                continue
            scored += 1
            earned = sum(line["points"] for line in result["used"])
            most = sum(line["most"] for line in result["used"])
            expected = card.lowest + (card.highest - card.lowest) * earned // most
            self.assertEqual(result["score"], expected)
            self.assertTrue(card.lowest <= result["score"] <= card.highest)
        self.assertGreater(scored, PEOPLE // 2)

    def test_a_card_that_could_punish_is_refused(self):
        text = CARD.read_text(encoding="utf-8")
        for change in [("[1, 0]", "[1, -5]"), ("at = [[6, 30]", "at = [[60, 30]")]:
            with tempfile.NamedTemporaryFile("w", suffix=".toml", encoding="utf-8") as file:
                self.assertIn(change[0], text)
                file.write(text.replace(*change, 1))
                file.flush()
                with self.assertRaises(ValueError):
                    read_card(Path(file.name))


if __name__ == "__main__":
    unittest.main()
