"""Weights travel bit for bit, and a changed bit does not go unnoticed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from raysgpo.weights.checksums import ChecksumMismatch, named_checksums, tensor_checksum
from raysgpo.weights.memory_file import ALIGNMENT, MemoryFile, TensorSpec, description, read_shared
from tests.weights.publishing import Named, written

DTYPES = [torch.float32, torch.bfloat16, torch.float16, torch.int8, torch.bool]


def read_back(named: Named, checksums: bool = True) -> tuple[dict[str, torch.Tensor], tuple[TensorSpec, ...]]:
    """What a reader of the file finds, and what is said of it."""
    file, manifest = written(named, checksums)
    with file:
        read = dict(read_shared(**description(file.path, manifest.tensors)))
        return {name: tensor.clone() for name, tensor in read.items()}, manifest.tensors


def some_tensors() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "matrix": torch.randn(7, 5, generator=generator),
        "transposed": torch.randn(3, 4, generator=generator).T,
        "brain": torch.randn(33, generator=generator).bfloat16(),
        "nan": torch.tensor([float("nan"), -0.0, float("inf")], dtype=torch.bfloat16),
        "scalar": torch.tensor(3.5),
        "parameter": torch.nn.Parameter(torch.ones(2, 2)),
    }


def bits(tensor: torch.Tensor) -> bytes:
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def assert_same_bits(got: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> None:
    assert list(got) == list(wanted)
    for name, tensor in wanted.items():
        assert (got[name].shape, got[name].dtype) == (tensor.shape, tensor.dtype), name
        assert bits(got[name]) == bits(tensor), name


def test_a_file_gives_the_same_bits_and_leaves_nothing_behind() -> None:
    tensors = some_tensors()
    file, manifest = written(tensors.items())
    with file:
        read = dict(read_shared(**description(file.path, manifest.tensors)))
    assert all(spec.offset % ALIGNMENT == 0 for spec in manifest.tensors)
    assert not Path(manifest.path).exists()
    assert_same_bits(read, tensors)


def test_a_second_version_overwrites_the_first_in_place() -> None:
    first, second = some_tensors(), {name: tensor.detach() * 0 + 1 for name, tensor in some_tensors().items()}
    with MemoryFile() as file:
        for tensors in (first, second):
            specs = [spec for spec, _ in file.write_weights(tensors.items())]
            assert_same_bits(dict(read_shared(**description(file.path, specs))), tensors)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(DTYPES), st.lists(st.integers(1, 4), max_size=3)), min_size=1))
def test_any_mix_of_types_and_shapes_survives(layout: list[tuple[torch.dtype, list[int]]]) -> None:
    tensors = {
        f"t{i}": (torch.arange(torch.Size(shape).numel()) % 2).to(dtype).reshape(shape)
        for i, (dtype, shape) in enumerate(layout)
    }
    read, specs = read_back(tensors.items())
    assert_same_bits(read, tensors)
    assert [spec.num_bytes for spec in specs] == [t.numel() * t.element_size() for t in tensors.values()]


def test_a_flipped_bit_on_the_way_is_refused_by_name() -> None:
    written_file, manifest = written(some_tensors().items())
    with written_file, open(manifest.path, "r+b") as file:
        offset = manifest.tensors[2].offset
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))
        file.flush()
        with pytest.raises(ChecksumMismatch, match="'brain'"):
            read_shared(**description(manifest.path, manifest.tensors))


def test_the_checksum_is_blake3_of_the_little_endian_values() -> None:
    # 1.0 in bfloat16 is 0x3F80, and -2.0 is 0xC000.
    tensor = torch.tensor([1.0, -2.0], dtype=torch.bfloat16)
    assert tensor_checksum(tensor) == blake3(bytes([0x80, 0x3F, 0x00, 0xC0])).hexdigest()


def test_checksums_tell_bits_apart_and_not_memory_layouts() -> None:
    tensor = torch.randn(4, 6)
    assert tensor_checksum(tensor) == tensor_checksum(tensor.T.contiguous().T)
    assert tensor_checksum(torch.tensor(0.0)) != tensor_checksum(torch.tensor(-0.0))
    nudged = tensor.clone()
    nudged[2, 3] = torch.nextafter(nudged[2, 3], torch.tensor(torch.inf))
    assert tensor_checksum(nudged) != tensor_checksum(tensor)


def test_checksums_before_and_after_writing_agree() -> None:
    tensors = some_tensors()
    _, specs = read_back(tensors.items())
    assert {spec.name: spec.digest for spec in specs} == named_checksums(tensors.items())


@pytest.mark.parametrize(
    ("named", "complaint"),
    [
        ([], "0 tensors under 0 names"),
        ([("w", torch.ones(1)), ("w", torch.ones(1))], "2 tensors under 1 names"),
        ([("w", torch.ones(1)), ("hole", torch.ones(0))], "without elements, hole"),
    ],
)
def test_weights_that_cannot_be_meant_are_refused(named: list[tuple[str, torch.Tensor]], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        written(named)


def test_checksums_may_be_left_out() -> None:
    tensors = some_tensors()
    read, specs = read_back(tensors.items(), checksums=False)
    assert {spec.digest for spec in specs} == {None}
    assert_same_bits(read, tensors)
