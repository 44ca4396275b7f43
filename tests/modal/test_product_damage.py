"""A stored file that was changed without changing its size is noticed before a measurement."""

import pytest
from product import index

VOLUME = "damaged"


def damage(path):
    """Changes one byte in the middle of a file; its size stays the same."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.fixture(scope="module")
def after_damage(product):
    """Runs a session, damages the stored files, and returns what a second session prints."""
    arguments = (
        "--impl=bruteforce",
        product.submission("exact.py", index()),
        f"--dataset={product.tiny}",
        "--ann-rounds=1",
        f"--modal-volume={VOLUME}",
    )
    before = product.pytest(*arguments)
    assert before.counts() == {"passed": 2}, before.text
    root = product.plane.volume(VOLUME).path
    files = [*root.glob("uploads/*/tiny-8-euclidean.hdf5"), *root.glob("train/*.rows")]
    assert len(files) == 2
    good = {path: path.read_bytes() for path in files}
    for path in files:
        damage(path)
    return product.pytest(*arguments), good


def test_an_uploaded_copy_is_put_there_again(after_damage):
    """A damaged upload is uploaded again from the user's own file."""
    done, good = after_damage
    assert done.counts() == {"passed": 2}, done.text
    assert f"The copy in volume '{VOLUME}' is damaged" in done.text
    assert "Uploading" in done.text
    assert all(path.read_bytes() == content for path, content in good.items())


def test_published_vectors_are_made_anew(after_damage, product):
    """Damaged vectors for submissions are published again, so that no submission is blamed for them."""
    done, _ = after_damage
    assert done.counts() == {"passed": 2}, done.text
    assert product.plane.log_text().count("of training vectors as") == 2


def test_a_dataset_is_set_aside_and_brought_again(product):
    """A damaged dataset is renamed and downloaded again."""
    arguments = ("--download-only", "--dataset=digits-64-euclidean", f"--modal-volume={VOLUME}")
    assert product.pytest(*arguments).code == 0
    path = product.plane.volume(VOLUME).path / "digits-64-euclidean.hdf5"
    good = path.read_bytes()
    damage(path)
    done = product.pytest(*arguments)
    assert done.code == 0, done.text
    assert "is damaged and was set aside as digits-64-euclidean.hdf5.corrupt" in done.text
    assert path.read_bytes() == good
