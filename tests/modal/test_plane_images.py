"""What a container has: packages, files and environment of its image, and nothing else."""

import json
import textwrap


def test_an_image_is_built_once_for_the_same_content(plane, run_app):
    source = """
        image = modal.Image.debian_slim().uv_pip_install("numpy>=1.26", "h5py")
        image = image.env({"GREETING": "hello world"})

        @app.function(image=image)
        def look():
            import numpy
            return [os.environ["GREETING"], numpy.__name__]

        if __name__ == "__main__":
            with app.run():
                show(look.remote())
    """
    assert run_app(source) == ["hello world", "numpy"]
    assert run_app(source) == ["hello world", "numpy"]
    image_id = plane.function("look").definition.image_id
    assert [image.builds for image in plane.images.all()] == [1] * len(plane.images.all())
    assert sorted(plane.images.packages(image_id)[-2:]) == ["h5py", "numpy>=1.26"]


def test_a_container_imports_only_what_its_image_installs(isolated, run_app):
    shown = run_app("""
        @app.function()
        def look():
            try:
                import numpy
            except ModuleNotFoundError as error:
                return str(error)

        if __name__ == "__main__":
            with app.run():
                show(look.remote())
    """)
    assert shown == "No module named 'numpy'"


def test_a_failed_build_is_an_image_build_error_with_its_log(plane, run_app):
    plane.faults.image_build_fails("ERROR: no compiler for this wheel", match="h5py")
    shown = run_app("""
        image = modal.Image.debian_slim().pip_install("h5py")

        @app.function(image=image)
        def f():
            pass

        if __name__ == "__main__":
            try:
                with modal.enable_output(), app.run():
                    pass
            except modal.exception.ImageBuildError as error:
                show(str(error))
    """)
    assert "failed" in shown
    assert not plane.containers


def test_an_unknown_package_fails_the_build(run_client, write_app):
    done = run_client(
        "-m",
        "modal",
        "run",
        write_app("""
        @app.function(image=modal.Image.debian_slim().pip_install("no-such-package-anywhere"))
        def f():
            pass
    """),
    )
    assert done.returncode == 1
    assert (
        "No matching distribution found for no-such-package-anywhere" in done.stdout + done.stderr
    )


def test_a_container_has_a_clean_environment(isolated, run_app, modal_env):
    modal_env["SECRET_OF_THE_PARENT"] = "do not tell"
    shown = run_app("""
        @app.function(secrets=[modal.Secret.from_dict({"GIVEN": "yes"})], env={"ALSO": "too"})
        def look(path):
            return [dict(os.environ), os.path.exists(path), os.listdir("/root"), os.getcwd()]

        if __name__ == "__main__":
            with app.run():
                show(look.remote(os.path.dirname(os.path.abspath(__file__))))
    """)
    environment, sees_the_client, home, cwd = shown
    assert "SECRET_OF_THE_PARENT" not in environment
    assert "MODAL_TOKEN_SECRET" not in environment
    assert (environment["GIVEN"], environment["ALSO"]) == ("yes", "too")
    assert not sees_the_client
    assert "app.py" in home
    assert cwd == "/root"


def test_a_module_is_there_only_if_a_mount_ships_it(isolated, run_app, tmp_path):
    for name in ("shipped", "left_behind"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"NAME = {name!r}")
    (tmp_path / "notes.txt").write_text("notes")
    shown = run_app("""
        image = (
            modal.Image.debian_slim()
            .add_local_python_source("shipped")
            .add_local_file("notes.txt", "/opt/notes/notes.txt")
        )

        @app.function(image=image)
        def look():
            import shipped
            try:
                import left_behind
            except ModuleNotFoundError as error:
                notes = open("/opt/notes/notes.txt").read()
                return [shipped.NAME, shipped.__file__, str(error), notes]

        if __name__ == "__main__":
            with app.run():
                show(look.remote())
    """)
    assert shown == [
        "shipped",
        "/root/shipped/__init__.py",
        "No module named 'left_behind'",
        "notes",
    ]


def test_the_project_under_test_does_not_leak_into_a_container(plane, run_app):
    shown = run_app("""
        @app.function()
        def look():
            import importlib.metadata
            names = [d.metadata["Name"] for d in importlib.metadata.distributions()]
            try:
                import pytest_annmodal
            except ModuleNotFoundError as error:
                return [str(error), names]

        if __name__ == "__main__":
            with app.run():
                show(look.remote())
    """)
    message, names = shown
    assert message == "No module named 'pytest_annmodal'"
    assert "modal" in names
    assert not plane.namespaces or "pytest-annmodal" not in names


def test_an_import_error_reaches_the_caller(run_app):
    shown = run_app("""
        if not modal.is_local():
            import not_in_the_image

        @app.function()
        def f():
            pass

        if __name__ == "__main__":
            with app.run():
                try:
                    f.remote()
                except ModuleNotFoundError as error:
                    show(str(error))
    """)
    assert shown == "No module named 'not_in_the_image'"


def test_a_function_of_a_package_ships_the_package(isolated, run_client, tmp_path):
    package = tmp_path / "grading"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "scale.py").write_text("FACTOR = 7")
    (package / "remote.py").write_text(
        textwrap.dedent("""
        import json, modal
        from grading.scale import FACTOR
        app = modal.App("graded", image=modal.Image.debian_slim())
        @app.function()
        def work(x):
            return FACTOR * x
        @app.local_entrypoint()
        def main():
            print("RESULT", json.dumps(work.remote(6)))
    """)
    )
    done = run_client("-m", "modal", "run", "-m", "grading.remote")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.dumps(42) in done.stdout
