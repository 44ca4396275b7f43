"""The `modal` command, log streams, authentication, a service in trouble."""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from grpclib.const import Status

ECHO = """
    @app.function()
    def echo(text):
        print("out", text)
        print("err", text, file=sys.stderr)
        if text == "bad":
            raise ValueError("bad text")
        return text

    @app.local_entrypoint()
    def main(text: str = "default", times: int = 1):
        for _ in range(times):
            print("answer", echo.remote(text))
"""


def test_modal_run_shows_the_output_of_the_function(plane, run_client, write_app):
    done = run_client("-m", "modal", "run", write_app(ECHO), "--text", "hello", "--times", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("out hello\n") == done.stdout.count("answer hello\n") == 2
    assert "err hello" in done.stdout + done.stderr
    assert plane.no_container_is_left()


def test_modal_run_fails_with_the_exception_of_the_function(run_client, write_app):
    done = run_client("-m", "modal", "run", write_app(ECHO), "--text", "bad")
    assert done.returncode == 1
    assert "ValueError" in done.stdout + done.stderr
    assert "bad text" in done.stdout + done.stderr


def test_the_log_of_a_call_has_its_own_lines_and_ends_with_it(run_app):
    shown = run_app("""
        @app.function(max_containers=1)
        def talk(name):
            for step in range(3):
                print(name, step)
            return name

        if __name__ == "__main__":
            with app.run():
                calls = [talk.spawn(name) for name in ("a", "b")]
                for call in calls:
                    show([entry.message for entry in call.logs.stream()])
                show([entry.message for entry in calls[1].logs.tail(2)])
    """)
    assert shown[0] == ["a 0\n", "a 1\n", "a 2\n"]
    assert shown[1] == ["b 0\n", "b 1\n", "b 2\n"]
    assert shown[2] == ["b 1\n", "b 2\n"]


def test_log_lines_arrive_while_the_call_runs(isolated, run_app):
    shown = run_app("""
        volume = modal.Volume.from_name("signals", create_if_missing=True)

        @app.function(volumes={"/signals": volume})
        def work():
            print("phase one")
            while not os.path.exists("/signals/go"):
                time.sleep(0.02)
                volume.reload()
            print("phase two")

        if __name__ == "__main__":
            with app.run():
                call = work.spawn()
                for entry in call.logs.stream():
                    show(entry.message.strip())
                    if "one" in entry.message:
                        with volume.batch_upload() as batch:
                            batch.put_file(__file__, "/go")
    """)
    assert shown == ["phase one", "phase two"]


@pytest.mark.parametrize("missing", ["MODAL_TOKEN_ID", "MODAL_TOKEN_SECRET"])
def test_half_a_token_is_an_authentication_error(run_app, modal_env, missing):
    del modal_env[missing]
    assert "Token missing" in run_app(REFUSED)


def test_a_wrong_token_is_an_authentication_error(run_app, modal_env):
    modal_env["MODAL_TOKEN_SECRET"] = "as-wrong"
    assert "token is invalid" in run_app(REFUSED)


REFUSED = """
    @app.function()
    def f():
        pass

    if __name__ == "__main__":
        try:
            with app.run():
                pass
        except modal.exception.AuthError as error:
            show(str(error))
"""


def test_a_service_that_dies_in_mid_call_is_a_connection_error(plane, run_client, write_app):
    plane.faults.server_dies_at("FunctionGetOutputs")
    begin = time.monotonic()
    done = run_client(
        write_app("""
        @app.function()
        def f():
            time.sleep(600)

        if __name__ == "__main__":
            with app.run():
                f.remote()
    """)
    )
    assert done.returncode == 1
    assert "ConnectionError" in done.stderr
    assert time.monotonic() - begin < 20


def test_a_refusing_service_does_not_listen(plane, modal_env):
    import socket
    from urllib.parse import urlsplit

    address = urlsplit(plane.url)
    socket.create_connection((address.hostname, address.port)).close()
    plane.faults.refuse()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address.hostname, address.port))


def test_scripted_failures_and_delays_strike_when_they_are_told_to(plane, run_app):
    plane.faults.fail(
        "FunctionMap", nth=2, status=Status.RESOURCE_EXHAUSTED, message="no more calls today"
    )
    plane.faults.delay("FunctionMap", 0.3, nth=3, times=1)
    shown = run_app("""
        @app.function()
        def f():
            return 1

        if __name__ == "__main__":
            with app.run():
                f.remote()
                try:
                    f.remote()
                except modal.exception.ResourceExhaustedError as error:
                    show(str(error))
                begin = time.monotonic()
                f.remote()
                show(time.monotonic() - begin)
    """)
    assert shown[0] == "no more calls today"
    assert shown[1] > 0.3
    assert len(plane.calls_of("FunctionMap")) == 3


def test_interrupting_the_client_stops_its_containers(plane, start_client, write_app):
    client = start_client(
        write_app("""
        @app.function()
        def f():
            time.sleep(600)

        if __name__ == "__main__":
            with app.run():
                f.remote()
            print("went on after the block", flush=True)
    """)
    )
    plane.wait_for(lambda: [c for c in plane.live_containers() if c.current])
    client.send_signal(signal.SIGINT)
    out, _ = client.communicate(timeout=200)
    assert "went on after the block" in out, "app.run() swallows the interrupt"
    assert plane.no_container_is_left()


def test_closing_the_plane_leaves_no_process_and_no_file(start_client, write_app, plane):
    start_client(
        write_app("""
        @app.function()
        def f():
            import subprocess
            subprocess.Popen(["sleep", "600"], start_new_session=True)
            print("started")
            time.sleep(600)

        if __name__ == "__main__":
            with app.run():
                f.remote()
    """)
    )
    plane.wait_for(lambda: "started" in plane.log_text())
    pids = plane.containers[0].pids()
    assert len(pids) == 2
    plane.close()
    assert not plane.folder.exists()
    plane.wait_for(lambda: not any(_exists(pid) for pid in pids))


def _exists(pid):
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rsplit(")", maxsplit=1)[1].split(maxsplit=1)[0] != "Z"


def test_a_plane_that_is_killed_takes_its_containers_with_it(modal_env, start_client, write_app):
    served = subprocess.Popen(
        [sys.executable, "-m", "plane"],
        cwd=Path(__file__).parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    lines = _until(served.stdout, "# ready ")
    folder = lines[-1].split()[-1]
    url = next(line.split("'")[1] for line in lines if "MODAL_SERVER_URL" in line)
    app = write_app("""
        @app.function()
        def f():
            print("started")
            time.sleep(600)

        if __name__ == "__main__":
            with app.run():
                call = f.spawn()
                for entry in call.logs.stream():
                    print("runs", flush=True)
                    call.get()
    """)
    client = start_client(app, env={**modal_env, "MODAL_SERVER_URL": url})
    _until(client.stdout, "runs")
    assert len(_running_from(folder)) >= 2
    served.kill()
    served.communicate(timeout=200)
    _, errors = client.communicate(timeout=200)
    assert client.returncode == 1
    assert "ConnectionError" in errors
    deadline = time.monotonic() + 60
    while (left := _running_from(folder)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not left
    shutil.rmtree(folder)


def _until(stream, prefix):
    lines = []
    while not (lines and lines[-1].startswith(prefix)):
        lines.append(stream.readline())
    return lines


def _running_from(folder):
    """The processes of containers of the plane whose files are there: what they have mounted, or stand in."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            seen = (process / "mountinfo").read_text() + str((process / "cwd").readlink())
        except OSError:
            continue
        if folder in seen:
            found.append(process.name)
    return found
