"""The contracts of `tests/contract` on Modal's members, each where that member lives."""

from pathlib import Path

HERE = Path(__file__).parent


def test_the_executor_contract_holds_on_modal(product):
    done = product.finish(
        product.start("-m", "pytest", "-q", "-W", "error", HERE / "contract_on_modal.py")
    )
    assert done.code == 0, done.text
    assert product.plane.no_container_is_left()


def test_the_volume_contract_holds_in_a_container(product):
    done = product.modal("run", HERE / "volume_contract_app.py")
    assert done.code == 0, done.text
    assert "6 passed" in done.text
