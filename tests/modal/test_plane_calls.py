"""Calls: results, errors, concurrency, cancellation, lost containers."""

import signal


def test_a_remote_call_returns_what_the_function_returns(plane, run_app):
    shown = run_app("""
        @app.function()
        def double(x, *, add=0):
            return {"value": 2 * x + add, "remote": not modal.is_local(), "pid": os.getpid()}

        if __name__ == "__main__":
            with app.run():
                show([double.remote(20, add=2), double.remote(1)])
    """)
    assert [answer["value"] for answer in shown] == [42, 2]
    assert all(answer["remote"] for answer in shown)
    assert len(plane.containers) == 1, "the second call is served by the warm container"


def test_an_exception_comes_back_with_its_type(run_app):
    shown = run_app("""
        @app.function()
        def fail():
            raise KeyError("lost")

        if __name__ == "__main__":
            with app.run():
                try:
                    fail.remote()
                except KeyError as error:
                    show(str(error))
    """)
    assert shown == "'lost'"


def test_eight_spawned_calls_run_in_eight_containers_at_once(plane, run_app, record_property):
    shown = run_app("""
        @app.function()
        def nap(number):
            time.sleep(2)
            return number

        if __name__ == "__main__":
            with app.run():
                begin = time.monotonic()
                calls = [nap.spawn(number) for number in range(8)]
                answers = [call.get() for call in calls]
                show([answers, time.monotonic() - begin])
    """)
    answers, seconds = shown
    record_property("wall_seconds_of_eight_naps_of_two", seconds)
    assert answers == list(range(8))
    assert len(plane.containers) == 8
    last_start = max(container.started for container in plane.containers)
    first_end = min(container.ended for container in plane.containers)
    assert last_start < first_end, "all eight lived at the same time"


def test_no_more_containers_than_max_containers(plane, run_app):
    shown = run_app("""
        @app.function(max_containers=2)
        def who(number):
            time.sleep(0.2)
            return os.environ["MODAL_TASK_ID"]

        if __name__ == "__main__":
            with app.run():
                show(list(who.map(range(6))))
    """)
    assert len(shown) == 6
    assert len(set(shown)) == len(plane.containers) == 2


def test_generators_maps_and_plain_data_work_too(run_app):
    shown = run_app("""
        @app.function()
        def squares(n):
            for number in range(n):
                yield number * number

        @app.function(_experimental_restrict_output=True)
        def plain(n):
            return {"pair": (1, 2), "n": n}

        if __name__ == "__main__":
            with app.run():
                show(list(squares.remote_gen(4)))
                show(list(plain.experimental_spawn_map(range(2)).iter()))
                show(modal.FunctionCall.gather(plain.spawn(3), plain.spawn(4)))
    """)
    assert shown[0] == [0, 1, 4, 9]
    assert shown[1] == [{"pair": [1, 2], "n": 0}, {"pair": [1, 2], "n": 1}]
    assert [answer["n"] for answer in shown[2]] == [3, 4]


def test_options_of_a_function_are_recorded_and_can_be_replaced(plane, run_app):
    run_app("""
        @app.function(cpu=(2, 2), memory=(512, 1024), timeout=77, retries=3, region="eu-west")
        def f():
            return 1

        if __name__ == "__main__":
            with app.run():
                f.with_options(timeout=99, cpu=(1, 1)).remote()
    """)
    base, variant = [f.definition for f in plane.registry.functions.values()]
    assert (base.resources.milli_cpu, base.resources.milli_cpu_max) == (2000, 2000)
    assert (base.resources.memory_mb, base.resources.memory_mb_max) == (512, 1024)
    assert (base.timeout_secs, base.retry_policy.retries) == (77, 3)
    assert list(base.scheduler_placement.regions) == ["eu-west"]
    assert (variant.timeout_secs, variant.resources.milli_cpu) == (99, 1000)
    assert plane.containers[0].function.definition.timeout_secs == 99


def test_a_failing_input_is_tried_again_as_often_as_declared(isolated, run_app):
    shown = run_app("""
        state = modal.Volume.from_name("attempts", create_if_missing=True)

        @app.function(
            retries=modal.Retries(max_retries=2, initial_delay=0), volumes={"/data": state}
        )
        def third_time():
            with open("/data/count", "a") as file:
                file.write("x")
            if os.path.getsize("/data/count") < 3:
                raise RuntimeError("not yet")
            return "now"

        if __name__ == "__main__":
            with app.run():
                show(third_time.spawn().get())
    """)
    assert shown == "now"


def test_values_above_two_mebibytes_travel_as_blobs(plane, run_app):
    shown = run_app("""
        @app.function()
        def reverse(data):
            return data[::-1]

        if __name__ == "__main__":
            with app.run():
                data = bytes(range(256)) * 12_000
                show([reverse.remote(data) == data[::-1], reverse.spawn(data).get() == data[::-1]])
    """)
    assert shown == [True, True]
    assert len(plane.calls_of("BlobCreate")) == 4


def test_a_function_that_takes_too_long_ends_with_a_timeout(plane, run_app):
    shown = run_app("""
        @app.function(timeout=1)
        def forever():
            time.sleep(60)

        if __name__ == "__main__":
            with app.run():
                try:
                    forever.remote()
                except modal.exception.FunctionTimeoutError as error:
                    show(str(error))
    """)
    assert "timeout of 1s" in shown
    assert plane.containers[0].returncode == -signal.SIGKILL


def test_a_killed_container_is_an_internal_failure(plane, run_app):
    plane.faults.kill_container("work", log="half done", signal=signal.SIGKILL)
    shown = run_app("""
        @app.function()
        def work():
            print("half done")
            time.sleep(60)

        if __name__ == "__main__":
            with app.run():
                try:
                    work.remote()
                except modal.exception.InternalFailure as error:
                    show(str(error))
    """)
    assert "signal 9" in shown
    assert plane.containers[0].returncode == -signal.SIGKILL


def test_a_preempted_input_starts_anew_in_another_container(plane, run_app):
    plane.faults.kill_container("work", when="input", preempt=True)
    shown = run_app("""
        @app.function()
        def work():
            return os.environ["MODAL_TASK_ID"]

        if __name__ == "__main__":
            with app.run():
                show(work.remote())
    """)
    assert [c.task_id for c in plane.containers][1:] == [shown]


def test_a_container_that_ends_itself_is_reported(run_app):
    shown = run_app("""
        @app.function()
        def leave():
            os._exit(7)

        if __name__ == "__main__":
            with app.run():
                try:
                    leave.remote()
                except modal.exception.InternalFailure as error:
                    show(str(error))
    """)
    assert "exit status 7" in shown


def test_cancelling_with_its_container_leaves_no_container(plane, run_app):
    plane.faults.delay("AppClientDisconnect", 1.0)
    shown = run_app("""
        @app.function()
        def forever():
            time.sleep(600)

        if __name__ == "__main__":
            with app.run():
                calls = [forever.spawn() for _ in range(2)]
                while forever.get_current_stats().num_running_inputs < 2:
                    time.sleep(0.02)
                for call in calls:
                    call.cancel(terminate_containers=True)
                while forever.get_current_stats().num_total_runners:
                    time.sleep(0.02)
                try:
                    calls[0].get()
                except modal.exception.RemoteError as error:
                    show(str(error))
    """)
    assert "cancelled" in shown
    disconnect = plane.calls_of("AppClientDisconnect")[0]
    assert all(container.ended < disconnect.at for container in plane.containers)


def test_cancelling_an_input_alone_leaves_its_container_for_others(plane, run_app):
    shown = run_app("""
        @app.function(max_containers=1)
        def nap(seconds):
            try:
                time.sleep(seconds)
            except modal.exception.InputCancellation:
                print("was cancelled")
                raise
            return os.environ["MODAL_TASK_ID"]

        if __name__ == "__main__":
            with app.run():
                first = nap.spawn(600)
                while nap.get_current_stats().num_running_inputs < 1:
                    time.sleep(0.02)
                second = nap.spawn(0)
                first.cancel()
                show(second.get())
    """)
    assert [container.task_id for container in plane.containers] == [shown]
    assert "was cancelled" in plane.log_text()


def test_an_input_can_be_polled(run_app):
    shown = run_app("""
        @app.function()
        def nap():
            time.sleep(0.5)
            return "awake"

        if __name__ == "__main__":
            with app.run():
                call = nap.spawn()
                try:
                    call.get(timeout=0)
                except TimeoutError as error:
                    show(type(error).__name__)
                show(call.get(timeout=200))
    """)
    assert shown == ["TimeoutError", "awake"]


def test_a_restricted_function_runs_once_per_container_with_no_network(isolated, run_app):
    shown = run_app("""
        data = modal.Volume.from_name("data", create_if_missing=True)

        @app.function(
            restrict_modal_access=True, single_use_containers=True, block_network=True,
            max_containers=1,
            volumes={"/data": data.with_mount_options(read_only=True)},
        )
        def probe(payload):
            import socket
            try:
                socket.create_connection(("127.0.0.1", int(os.environ.get("PORT", "1"))), timeout=1)
            except OSError as error:
                network = error.strerror
            try:
                data.reload()
            except Exception as error:
                reload = type(error).__name__
            return [os.environ["MODAL_TASK_ID"], network, reload, payload]

        if __name__ == "__main__":
            with app.run():
                big = b"x" * 3_000_000
                for answer in probe.map([big, b"small"]):
                    show([*answer[:-1], len(answer[-1])])
    """)
    first, second = shown
    assert first[0] != second[0], "each input has a container of its own"
    assert first[2] == "PermissionDeniedError"
    assert (first[-1], second[-1]) == (3_000_000, 5)
    definition = isolated.function("probe").definition
    assert definition.untrusted
    assert definition.single_use_containers
    assert definition.block_network


def test_the_end_of_an_app_leaves_nothing(plane, run_app):
    run_app("""
        @app.function()
        def spawn_children():
            import subprocess
            for _ in range(2):
                subprocess.Popen(["sleep", "600"], start_new_session=True)
            print("children", flush=True)
            time.sleep(600)

        @app.function()
        def idle():
            return 1

        if __name__ == "__main__":
            with app.run():
                idle.remote()
                call = spawn_children.spawn()
                for entry in call.logs.stream():
                    if "children" in entry.message:
                        break
    """)
    assert plane.no_container_is_left()
    assert sorted(container.returncode for container in plane.containers) == [-signal.SIGKILL, 0]


def test_a_client_that_vanishes_takes_its_app_with_it(plane, start_client, write_app):
    app = write_app("""
        @app.function()
        def forever():
            time.sleep(600)

        if __name__ == "__main__":
            with app.run():
                forever.remote()
    """)
    client = start_client(app)
    plane.wait_for(lambda: [c for c in plane.live_containers() if c.current])
    client.kill()
    plane.heartbeat_timeout_s = 0.1
    plane.no_container_is_left()
    assert plane.containers[0].returncode == -signal.SIGKILL
