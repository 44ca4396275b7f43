"""Layouts of rows in memory, and the forms in which an implementation gets them."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_annmodal.distances import forms, layouts, rows
from pytest_annmodal.distances.rows import LAYOUTS, Sets

LISTS = [[3, 7], [], [0, 1, 2, 9], [], [7]]


def bits(n=6, d=13, seed=0):
    values = np.random.default_rng(seed).integers(0, 2, (n, d), dtype=np.uint8)
    return values, np.packbits(values, axis=1)


def as_lists(sets):
    return [one.tolist() for one in sets.lists()]


class TestSets:
    def test_are_sorted_and_have_each_member_once(self):
        """Members are sorted and distinct."""
        assert as_lists(Sets.of([[7, 3, 7], [], [9, 0, 2, 1], [], [7]])) == LISTS

    @pytest.mark.parametrize("chosen", [slice(1, 4), slice(None), slice(4, 1), slice(0, 5, 2)])
    def test_are_cut_as_arrays_are(self, chosen):
        """Sets can be sliced."""
        assert as_lists(Sets.of(LISTS)[chosen]) == LISTS[chosen]

    def test_are_taken_by_number(self):
        """Sets can be taken by number, in any order and repeatedly."""
        assert as_lists(Sets.of(LISTS)[np.array([2, 0, 2, 1])]) == [LISTS[i] for i in (2, 0, 2, 1)]

    def test_come_back_from_every_way_they_are_sent(self):
        """Sets survive as bytes, as rows of one width, as a matrix and in parts."""
        sets = Sets.of(LISTS)
        assert as_lists(Sets.from_bytes(sets.to_bytes(), 5)) == LISTS
        assert as_lists(Sets.from_padded(sets.padded())) == LISTS
        assert as_lists(Sets.from_padded(sets.padded(9))) == LISTS
        assert as_lists(Sets.joined([sets[:2], sets[2:]])) == LISTS
        assert as_lists(Sets.from_matrix(sets.csr(12).toarray())) == LISTS
        assert (sets.sizes.tolist(), sets.longest, len(sets)) == ([2, 0, 4, 0, 1], 4, 5)


def test_every_form_that_a_header_may_name_is_made():
    """Every form of a header can be made; each layout has a default form."""
    assert set(forms.FORMS) == set(layouts.FORMS)
    assert set(LAYOUTS) == set(layouts.LAYOUT_FORMS)
    assert [LAYOUTS[name].forms[0] for name in ("floats", "bits", "sets")] == [
        *("float32", "bool", "lists")
    ]


@pytest.mark.parametrize("name", layouts.FORMS)
def test_what_is_sent_is_what_arrives(name):
    """train and queries arrive unchanged, through file, batch and mailbox."""
    values, packed = bits()
    numbers = values.astype(name if name in ("float32", "uint8", "int8") else "float32")
    layout = next(key for key, known in layouts.LAYOUT_FORMS.items() if name in known)
    kept = {"floats": numbers, "bits": packed, "sets": Sets.from_matrix(values)}[layout]
    expected = {"bool": values.astype(bool), "packed": packed}.get(name, numbers)
    form = forms.make(name, 13, LAYOUTS[layout].longest(kept))
    assert forms.make(**form.fields()).width == form.width
    sent = form.sent(kept)
    assert (sent.dtype, sent.shape) == (form.dtype, (6, form.width))
    train = form.mapped(form.to_memory(kept).reshape(-1).view(np.uint8), 6)
    slots = np.zeros_like(sent)
    turns = form.slots(slots)
    slots[:] = sent
    for many in (train, form.whole(sent), form.each(sent), [turns[i] for i in range(6)]):
        if name == "lists":
            assert [one.tolist() for one in many] == as_lists(kept)
        elif name == "csr":
            dense = many.toarray() if hasattr(many, "toarray") else [m.toarray()[0] for m in many]
            np.testing.assert_array_equal(dense, values)
        else:
            assert np.asarray(many).dtype == expected.dtype
            np.testing.assert_array_equal(many, expected)
    assert form.random(np.random.default_rng(0), 9).shape == (9, form.width)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layouts_rows_come_back_from_bytes_and_from_a_message(layout):
    """Rows survive as published bytes and as a message."""
    values, packed = bits()
    kept = {"floats": values, "bits": packed, "sets": Sets.from_matrix(values)}[layout]
    ways = LAYOUTS[layout]
    again = ways.from_memory(ways.to_memory(kept).reshape(-1).view(np.uint8), 6, "uint8")
    for found in (again, ways.from_message(ways.to_message(kept))):
        assert ways.to_memory(found).tobytes() == ways.to_memory(kept).tobytes()
    assert len(rows.joined([kept[:2], kept[2:]])) == 6


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("width", [5, 8, 64])
def test_equal_rows_have_equal_hashes_and_rows_of_nothing_are_found(layout, width):
    """Equal rows have equal hashes, and zero rows are found, for any width."""
    values = np.random.default_rng(1).integers(0, 2, (40, width), dtype=np.uint8)
    values[[3, 30]] = 0
    values[7] = values[20]
    way = LAYOUTS[layout]
    kept = {
        "floats": values.astype(np.float32) * -1,  # -0.0 is zero
        "bits": np.packbits(values, axis=1),
        "sets": Sets.from_matrix(values),
    }[layout]
    hashes = way.hashes(kept)
    same = np.all(values[:, None] == values, axis=2)
    np.testing.assert_array_equal(hashes[:, None] == hashes, same)
    np.testing.assert_array_equal(way.zero(kept), ~values.any(axis=1))
    assert (hashes[[3, 30]] == 0).all()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_warm_up_rows_lie_between_two_rows(layout):
    """A warm-up row has bits that both its rows have, and none that neither has."""
    a, b = bits(200, 13, 1)[0], bits(200, 13, 2)[0]
    way, rng = LAYOUTS[layout], np.random.default_rng(3)
    if layout == "floats":
        np.testing.assert_array_equal(way.between(a, b, rng), (a + b) // 2)
        return
    if layout == "bits":
        packed = way.between(np.packbits(a, axis=1), np.packbits(b, axis=1), rng)
        between = np.unpackbits(packed, axis=1, count=13)
        assert (between[(a & b) == 1] == 1).all()
    else:
        between = way.between(Sets.from_matrix(a), Sets.from_matrix(b), rng).csr(13).toarray()
    assert not between[(a | b) == 0].any()
    assert 0.3 < between[(a ^ b) == 1].mean() < 0.7


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_profile_says_how_long_rows_are_and_which_columns_are_idle(layout, monkeypatch):
    """A profile has the lengths of rows and the number of constant columns."""
    monkeypatch.setattr(rows, "CHUNK_BYTES", 100)
    values = bits(50, 13)[0]
    values[:, 3], values[:, 12] = 0, 1
    kept = {
        "floats": 2 * values.astype(np.float32),
        "bits": np.packbits(values, axis=1),
        "sets": Sets.from_matrix(values),
    }[layout]
    n_constant, lengths = LAYOUTS[layout].profile(kept, 13)
    assert n_constant == 2
    ones = values.sum(axis=1)
    np.testing.assert_allclose(lengths, 2 * np.sqrt(ones) if layout == "floats" else ones)
