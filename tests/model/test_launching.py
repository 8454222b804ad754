"""Several processes that train one network together: as one would, and they end together, whatever happens."""

import os
import pickle
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from earmark.errors import CatalogueError, EarmarkError, ModelError, ParamsError
from earmark.model.network.launching import _cause, launch, processes_here
from earmark.model.network.training import fit
from earmark.params import Augmentation
from model_tools import SETTINGS, accuracy, same, songs, training

HERE = Path(__file__).parent
# Chance is another one in each process, so nothing of it here: then several are as one.
TOGETHER = replace(
    training(devices=2, batch_size=12, epochs=6, patience=6),
    network=replace(SETTINGS.network, dropout=0.0),
    augmentation=Augmentation(),
)
ALONE = training(TOGETHER, devices=1)


class Killer:
    """Ends the process that tells of this epoch, as the system does when memory runs out."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def __call__(self, epoch) -> None:
        if epoch.epoch == self.epoch:
            os.kill(os.getpid(), signal.SIGKILL)


def refuse(message: str) -> None:
    if os.environ["RANK"] == "1":
        raise CatalogueError(message)
    time.sleep(60)


def started(monkeypatch, *, here: int, everywhere: int) -> None:
    for name, value in {"LOCAL_RANK": 0, "LOCAL_WORLD_SIZE": here, "WORLD_SIZE": everywhere}.items():
        monkeypatch.setenv(name, str(value))


class TestHowMany:
    def test_it_is_what_params_say_or_all_gpus_or_one(self, monkeypatch):
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
        assert [processes_here(training(devices=devices).training) for devices in (0, 1, 3)] == [1, 1, 3]
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
        assert [processes_here(training(devices=devices).training) for devices in (0, 1, 3)] == [4, 1, 3]
        with pytest.raises(ParamsError, match=r"devices is 5.*has 4 GPU"):
            processes_here(training(devices=5).training)

    @pytest.mark.parametrize(("devices", "nodes", "here", "everywhere"), [(0, 1, 2, 2), (2, 1, 2, 2), (0, 3, 2, 6)])
    def test_where_torchrun_started_them_it_is_what_was_started(self, monkeypatch, devices, nodes, here, everywhere):
        started(monkeypatch, here=here, everywhere=everywhere)
        assert processes_here(training(devices=devices, nodes=nodes).training) == here

    @pytest.mark.parametrize(("devices", "nodes", "here", "everywhere"), [(1, 1, 2, 2), (0, 1, 2, 4), (2, 3, 2, 4)])
    def test_where_that_is_not_what_params_say_both_are_named(self, monkeypatch, devices, nodes, here, everywhere):
        started(monkeypatch, here=here, everywhere=everywhere)
        told = rf"started {everywhere} processes, {here} of them.*devices is {devices} and training.nodes is {nodes}"
        with pytest.raises(ParamsError, match=told):
            processes_here(training(devices=devices, nodes=nodes).training)

    def test_several_machines_without_torchrun_are_refused_instead_of_waited_for(self):
        with pytest.raises(ParamsError, match=r"nodes is 2, but this process is alone.*torchrun"):
            fit(songs(1), None, training(nodes=2))


@pytest.mark.slow
class TestTogether:
    @pytest.fixture(scope="class")
    def trained(self):
        return fit(songs(1), songs(2, 9), TOGETHER)

    def test_they_learn_as_one_process_does(self, trained):
        network, history = trained
        alone, alone_history = fit(songs(1), songs(2, 9), ALONE)
        assert [epoch.epoch for epoch in history] == [epoch.epoch for epoch in alone_history]
        for one, other in zip(history, alone_history, strict=True):
            assert one.learning_rate == pytest.approx(other.learning_rate)
            # Each normalises its own half of a batch, which is the one difference.
            assert one.training_loss == pytest.approx(other.training_loss, abs=0.15)
        # Losses and accuracies are over all excerpts of all processes: thirds of a track's two, ninths of the tracks.
        assert all((epoch.training_accuracy * 60) % 1 == pytest.approx(0, abs=1e-3) for epoch in history)
        assert all((epoch.validation_accuracy * 9) % 1 == pytest.approx(0, abs=1e-3) for epoch in history)
        assert accuracy(network, songs(7)) == pytest.approx(accuracy(alone, songs(7)), abs=0.4)

    def test_killed_and_carried_on_they_end_at_the_same_to_the_bit(self, trained, tmp_path):
        checkpoints = tmp_path / "checkpoints"
        before = signal.getsignal(signal.SIGINT)
        with pytest.raises(ModelError, match=r"Process 0 .*SIGKILL.*memory.*carried on"):
            fit(songs(1), songs(2, 9), TOGETHER, checkpoints=checkpoints, on_epoch=Killer(3))
        assert signal.getsignal(signal.SIGINT) is before
        assert (checkpoints / "last.ckpt").is_file()
        network, history = fit(songs(1), songs(2, 9), TOGETHER, checkpoints=checkpoints)
        assert same(network.state_dict(), trained[0].state_dict()) and history == trained[1]
        assert not checkpoints.exists()


class TestCause:
    @staticmethod
    def told(folder: Path, *, exitcode: int = 1) -> EarmarkError:
        failed = SimpleNamespace(get_first_failure=lambda: (1, SimpleNamespace(exitcode=exitcode)))
        return _cause(failed, folder)

    def test_what_earmark_raised_is_raised_as_it_was(self, tmp_path):
        (tmp_path / "0").write_bytes(pickle.dumps(CatalogueError("a consequence")))
        (tmp_path / "1").write_bytes(pickle.dumps(CatalogueError("the first")))
        found = self.told(tmp_path)
        assert type(found) is CatalogueError and str(found) == "the first"

    def test_what_is_nobodys_fault_is_told_with_its_words(self, tmp_path):
        (tmp_path / "1").write_bytes(pickle.dumps(ZeroDivisionError("by nothing")))
        found = self.told(tmp_path)
        assert type(found) is ModelError and "ZeroDivisionError: by nothing" in str(found)

    def test_of_a_process_that_said_nothing_the_way_in_which_it_ended_is_told(self, tmp_path):
        assert "SIGKILL" in str(self.told(tmp_path, exitcode=-9))
        assert "ended with 3" in str(self.told(tmp_path, exitcode=3))


@pytest.mark.slow
class TestWhatFails:
    def test_what_is_raised_in_one_process_is_raised_here_and_the_others_end(self):
        began = time.monotonic()
        with pytest.raises(CatalogueError, match="no reels"):
            launch(2, refuse, "There are no reels.")
        assert time.monotonic() - began < 50

    def test_ctrl_c_ends_all_of_them(self, tmp_path):
        script = tmp_path / "waits.py"
        script.write_text(
            textwrap.dedent(f"""
                import os, pathlib, time
                from earmark.model.network.launching import launch

                def wait():
                    pathlib.Path({str(tmp_path)!r}, "process-" + os.environ["RANK"]).write_text(str(os.getpid()))
                    time.sleep(120)

                if __name__ == "__main__":
                    try:
                        launch(2, wait)
                    except KeyboardInterrupt:
                        print("interrupted")
            """)
        )
        parent = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
        files = [tmp_path / f"process-{rank}" for rank in range(2)]
        end = time.monotonic() + 100
        while not all(file.is_file() and file.read_text() for file in files):
            assert parent.poll() is None and time.monotonic() < end
            time.sleep(0.1)
        parent.send_signal(signal.SIGINT)
        said, _ = parent.communicate(timeout=60)
        assert said == "interrupted\n" and parent.returncode == 0
        assert not [file for file in files if Path(f"/proc/{file.read_text()}").exists()]


@pytest.mark.slow
def test_under_torchrun_each_gets_the_same_weights_and_only_the_first_writes(tmp_path):
    script = tmp_path / "trains.py"
    script.write_text(
        textwrap.dedent(f"""
            import os, sys
            sys.path[:0] = [{str(HERE)!r}, {str(HERE.parent)!r}]
            import torch
            from model_tools import same, songs
            from test_launching import TOGETHER, training
            from earmark.model.network.training import fit, is_first_process

            told = []
            network, history = fit(songs(1), songs(2, 9), training(TOGETHER, devices=0), on_epoch=told.append)
            again, _ = fit(songs(1), songs(2, 9), training(TOGETHER, devices=0))  # as for each of several folds
            assert same(network.state_dict(), again.state_dict())
            first = is_first_process()
            assert len(told) == (len(history) if first else 0)
            parameters = torch.cat([each.detach().flatten() for each in network.parameters()])
            torch.save((parameters, history, first), {str(tmp_path)!r} + "/rank-" + os.environ["RANK"])
        """)
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone", str(script)]
    subprocess.run(command, check=True, timeout=150, env=os.environ | {"OMP_NUM_THREADS": "1"})
    one, other = (torch.load(tmp_path / f"rank-{rank}", weights_only=False) for rank in range(2))
    assert torch.equal(one[0], other[0]) and one[1] == other[1]
    assert (one[2], other[2]) == (True, False)
