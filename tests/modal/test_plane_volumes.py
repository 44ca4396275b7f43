"""Volumes: what is visible when, and to whom."""

import pytest

pytestmark = pytest.mark.usefixtures("isolated")

TWO_FUNCTIONS = """
    volume = modal.Volume.from_name("store", create_if_missing=True)

    @app.function(volumes={"/data": volume})
    def write(name, commit):
        with open(f"/data/{name}", "w") as file:
            file.write(name)
        if commit:
            volume.commit()

    @app.function(volumes={"/data": volume})
    def see(reload):
        if reload:
            volume.reload()
        return sorted(os.listdir("/data"))
"""


def test_what_is_not_committed_is_invisible_and_what_is_needs_a_reload(plane, run_app):
    shown = run_app(
        TWO_FUNCTIONS
        + """
    if __name__ == "__main__":
        with app.run():
            show(see.remote(False))
            write.remote("forgotten", False)
            show(see.remote(True))
            write.remote("kept", True)
            show(see.remote(False))
            show(see.remote(True))
    """
    )
    empty, forgotten, not_reloaded, reloaded = shown
    assert empty == forgotten == not_reloaded == []
    # The commit published all that its container had written.
    assert reloaded == ["forgotten", "kept"]
    assert (plane.volume("store").path / "kept").read_text() == "kept"


def test_a_forgotten_commit_is_lost_with_its_container(plane, run_app):
    run_app(
        TWO_FUNCTIONS
        + """
    if __name__ == "__main__":
        with app.run():
            write.remote("forgotten", False)
    """
    )
    assert list(plane.volume("store").path.iterdir()) == []


def test_a_background_commit_publishes_what_is_half_written(plane, start_client, write_app):
    app = write_app("""
        volume = modal.Volume.from_name("store", create_if_missing=True)

        @app.function(volumes={"/data": volume})
        def write():
            with open("/data/half", "w") as file:
                file.write("half")
                file.flush()
                print("half written")
                time.sleep(600)

        if __name__ == "__main__":
            with app.run():
                write.remote()
    """)
    start_client(app)
    plane.wait_for(lambda: "half written" in plane.log_text())
    assert not (plane.volume("store").path / "half").exists()
    plane.background_commit(plane.containers[0])
    assert (plane.volume("store").path / "half").read_text() == "half"


def test_containers_see_the_volume_as_it_was_when_they_started(plane, run_app):
    volume = plane.volume("store")
    (volume.path / "before").write_text("x")
    shown = run_app(
        TWO_FUNCTIONS
        + """
    if __name__ == "__main__":
        with app.run():
            show(see.remote(False))
    """
    )
    assert shown == ["before"]


def test_removed_and_changed_files_are_committed_too(plane, run_app):
    store = plane.volume("store").path
    (store / "old").write_text("old")
    (store / "sub").mkdir()
    (store / "sub" / "changed").write_text("before")
    run_app("""
        volume = modal.Volume.from_name("store")

        @app.function(volumes={"/data": volume})
        def change():
            os.remove("/data/old")
            with open("/data/sub/new", "w") as file:
                file.write("after")
            os.replace("/data/sub/new", "/data/sub/changed")
            volume.commit()

        if __name__ == "__main__":
            with app.run():
                change.remote()
    """)
    assert sorted(path.name for path in store.rglob("*")) == ["changed", "sub"]
    assert (store / "sub" / "changed").read_text() == "after"


def test_reload_and_the_reload_after_a_commit_fail_while_the_mount_is_in_use(plane, run_app):
    (plane.volume("store").path / "x").write_bytes(b"x" * 4096)
    shown = run_app("""
        volume = modal.Volume.from_name("store")

        @app.function(volumes={"/data": volume})
        def hold(how):
            import contextlib, mmap, subprocess
            messages = []
            with contextlib.ExitStack() as stack:
                if how in ("file", "map"):
                    file = stack.enter_context(open("/data/x", "r+b"))
                if how == "map":
                    kept = mmap.mmap(file.fileno(), 0)
                    stack.callback(kept.close)
                    file.close()
                if how == "cwd":
                    os.chdir("/data")
                    stack.callback(os.chdir, "/root")
                if how == "child":
                    child = subprocess.Popen(["sleep", "60"], cwd="/data")
                    stack.callback(child.wait)
                    stack.callback(child.kill)
                for action in (volume.reload, volume.commit):
                    try:
                        action()
                    except RuntimeError as error:
                        messages.append(str(error))
            volume.reload()
            return messages

        if __name__ == "__main__":
            with app.run():
                for how in ("file", "map", "cwd", "child"):
                    show(hold.remote(how))
    """)
    assert len(shown) == 4
    for messages in shown:
        assert len(messages) == 2
        assert all("there are open files preventing the operation" in text for text in messages)


def test_a_read_only_mount_of_a_directory_cannot_be_written(isolated, run_app):
    folder = isolated.volume("store").path / "users" / "me"
    folder.mkdir(parents=True)
    (folder / "mine").write_text("mine")
    shown = run_app("""
        volume = modal.Volume.from_name("store")
        volume = volume.with_mount_options(read_only=True, sub_path="/users/me")

        @app.function(volumes={"/data": volume})
        def look():
            try:
                open("/data/new", "w")
            except OSError as error:
                message = error.strerror
            volume.reload()
            return [os.listdir("/data"), message]

        if __name__ == "__main__":
            with app.run():
                show(look.remote())
    """)
    assert shown == [["mine"], "Read-only file system"]


VOLUME_COMMANDS = """
    import contextlib, io
    from modal.__main__ import main

    def volume(*arguments):
        sys.argv, said = ["modal", "volume", *arguments], io.StringIO()
        try:
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                main()
            code = 0
        except SystemExit as end:
            code = end.code
        return [code or 0, said.getvalue()]

    show([volume(*arguments) for arguments in COMMANDS])
"""


def test_files_pass_through_the_volume_command(plane, run_app, tmp_path):
    """`modal volume put`, `ls`, `get` and `rm` work; the command's main function runs in one process."""
    data = bytes(range(256)) * 40_000 + bytes(100_000)
    (tmp_path / "big.bin").write_bytes(data)
    (tmp_path / "small.txt").write_text("small")
    commands = (
        ("create", "store"),
        ("put", "store", "big.bin"),
        ("put", "store", "small.txt", "/sub/small.txt"),
        ("ls", "store"),
        ("put", "store", "big.bin"),
        ("get", "store", "big.bin", "back.bin"),
        ("rm", "store", "big.bin"),
        ("list",),
        ("ls", "nowhere"),
    )
    shown = run_app(VOLUME_COMMANDS.replace("COMMANDS", repr(commands)))
    assert [code for code, _ in shown] == [0, 0, 0, 0, 2, 0, 0, 0, 1], shown
    *_, listed, again, _, _, volumes, nowhere = [said for _, said in shown]
    assert listed.split() == ["big.bin", "sub"]
    assert "already exists" in again
    assert "store" in volumes
    assert "not found" in nowhere
    assert (tmp_path / "back.bin").read_bytes() == data
    assert [path.name for path in plane.volume("store").path.rglob("*")] == ["sub", "small.txt"]


def test_files_pass_through_a_volume_of_the_second_version(plane, run_app):
    shown = run_app("""
        import io
        data = bytes(range(256)) * 40_000 + bytes(100_000)
        volume = modal.Volume.from_name("store", create_if_missing=True, version=2)
        with volume.batch_upload() as batch:
            batch.put_file(io.BytesIO(data), "/sub/big")
            batch.put_file(io.BytesIO(b"small"), "/small")
        show([entry.path for entry in volume.listdir("/", recursive=True)])
        show(b"".join(volume.read_file("sub/big")) == data)
        try:
            with volume.batch_upload() as batch:
                batch.put_file(io.BytesIO(b"other"), "/small")
        except FileExistsError as error:
            show(str(error))
        volume.remove_file("/sub", recursive=True)
        show([entry.path for entry in volume.listdir("/")])
    """)
    assert shown[:2] == [["small", "sub", "sub/big"], True]
    assert "already exists" in shown[2]
    assert shown[3] == ["small"]


def test_reload_and_commit_fail_as_scripted(plane, run_app):
    plane.faults.fail("VolumeReload", nth=1, message="the volume is busy")
    plane.faults.fail("VolumeCommit", nth=1, message="no space left in the volume")
    shown = run_app("""
        volume = modal.Volume.from_name("store", create_if_missing=True)

        @app.function(volumes={"/data": volume})
        def both():
            messages = []
            for action in (volume.reload, volume.commit, volume.reload, volume.commit):
                try:
                    action()
                except RuntimeError as error:
                    messages.append(str(error))
            return messages

        if __name__ == "__main__":
            with app.run():
                show(both.remote())
    """)
    assert shown == ["the volume is busy", "no space left in the volume"]
