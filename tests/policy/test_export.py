"""An exported checkpoint is a Hugging Face folder like any other."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM

from raysgpo.output.whole_file import WriteFailed
from raysgpo.policy import export as export_file
from raysgpo.policy.export import export
from raysgpo.policy.policy import Policy
from tests.output.full_disk import no_file_beyond
from tests.policy.conftest import Build, Sequences, Shares, saved
from tests.policy.tensors import assert_equal, weights

pytestmark = pytest.mark.slow


@pytest.fixture
def trained(qwen2: str, build: Build, sequences: Sequences, shares: Shares) -> Policy:
    policy = build(qwen2)
    policy.update(shares(sequences(5, seed=0))[0])
    return policy


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
@pytest.mark.parametrize("architecture", ["qwen2", "qwen3"])
def test_transformers_loads_it_with_its_tokenizer(
    architecture: str,
    dtype: str,
    request: pytest.FixtureRequest,
    build: Build,
    sequences: Sequences,
    shares: Shares,
    tmp_path: Path,
) -> None:
    policy = build(request.getfixturevalue(architecture))
    policy.update(shares(sequences(5, seed=0))[0])
    saved(policy, tmp_path / "saved")
    export(tmp_path / "saved", tmp_path / "out", dtype)
    model, number = AutoModelForCausalLM.from_pretrained(tmp_path / "out"), getattr(torch, dtype)
    assert model.dtype is number
    expected = {name: value.to(number) for name, value in weights(policy).items()}
    assert_equal(dict(model.named_parameters()), expected)
    assert (tmp_path / "out" / "tokenizer.json").read_text() == '{"stands for": "a tokenizer"}'
    assert (tmp_path / "out" / "chat_template.jinja").read_text() == "{{ messages }}"
    assert not list(tmp_path.glob(".*"))


def test_what_was_exported_whole_is_the_policy_again(trained: Policy, build: Build, tmp_path: Path) -> None:
    saved(trained, tmp_path / "saved")
    export(tmp_path / "saved", tmp_path / "out", "float32")
    assert_equal(weights(build(str(tmp_path / "out"))), weights(trained))


def test_large_models_are_cut_into_files_that_several_processes_write(
    trained: Policy, build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(trained, tmp_path / "saved")
    monkeypatch.setattr(export_file, "FILE_BYTES", 20_000)
    source, out = tmp_path / "saved", tmp_path / "out"
    export_file.begin(source, out, "float32")
    for part in (2, 0, 1):
        export_file.write_files(source, out, "float32", part, 3)
    assert not out.exists()
    export_file.finish(source, out, "float32")
    files = sorted(out.glob("*.safetensors"))
    assert len(files) > 3
    assert files[0].name == f"model-00001-of-{len(files):05d}.safetensors"
    index = json.loads((out / "model.safetensors.index.json").read_text())
    held: dict[str, str] = {}
    size = 0
    for file in files:
        with safe_open(file, framework="pt") as tensors:
            held |= dict.fromkeys(tensors.keys(), file.name)
            size += sum(tensors.get_tensor(name).nbytes for name in tensors.keys())  # noqa: SIM118
    assert index == {"metadata": {"total_size": size}, "weight_map": held}
    assert_equal(dict(AutoModelForCausalLM.from_pretrained(out).named_parameters()), weights(trained))
    assert_equal(weights(build(str(out))), weights(trained))


def test_on_a_full_disk_nothing_is_left_and_what_was_there_stays(
    trained: Policy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(trained, tmp_path / "saved")
    export(tmp_path / "saved", tmp_path / "out", "float32")
    before = (tmp_path / "out" / "model.safetensors").stat()
    for room in (10, before.st_size - 10):
        with no_file_beyond(room), pytest.raises(WriteFailed, match=r"out: .* could not be written \(File too large\)"):
            export(tmp_path / "saved", tmp_path / "out", "float32")
        assert sorted(entry.name for entry in tmp_path.iterdir()) == ["out", "saved"]
        assert (tmp_path / "out" / "model.safetensors").stat() == before


REFUSED = """{"do_sample": false, "eos_token_id": 260, "pad_token_id": 256, "temperature": 0.6, "top_p": 0.9}"""
"""Settings of generation that transformers loads and refuses to save."""


def test_settings_of_generation_come_along_as_they_were(qwen2: str, build: Build, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(qwen2, model)
    (model / "generation_config.json").write_text(REFUSED)
    with pytest.raises(ValueError, match="Fix these issues to save"):
        AutoModelForCausalLM.from_pretrained(model).save_pretrained(tmp_path / "refused")
    saved(build(str(model)), tmp_path / "saved")
    export(tmp_path / "saved", tmp_path / "out", "bfloat16")
    assert (tmp_path / "out" / "generation_config.json").read_text() == REFUSED


def test_the_configuration_differs_in_its_type_alone(qwen2: str, build: Build, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(qwen2, model)
    settings = json.loads((model / "config.json").read_text())
    settings.pop("dtype", None)
    (model / "config.json").write_text(json.dumps({**settings, "torch_dtype": "float32", "temperature": 0.6}))
    saved(build(str(model)), tmp_path / "saved")
    export(tmp_path / "saved", tmp_path / "out", "bfloat16")
    found = json.loads((tmp_path / "out" / "config.json").read_text())
    assert found == {**settings, "temperature": 0.6, "dtype": "bfloat16"}
