"""Weights travel bit for bit, and a changed bit does not go unnoticed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from raysgpo.weights.payload import (
    WeightPayload,
    named_checksums,
    pack,
    payload_bytes,
    tensor_checksum,
)
from raysgpo.weights.shared_file import ALIGNMENT, ChecksumMismatch, SharedFile, read_shared

DTYPES = [torch.float32, torch.bfloat16, torch.float16, torch.int8, torch.bool]


def unpack(payload: WeightPayload) -> dict[str, torch.Tensor]:
    """The tensors as a receiver reads them."""
    with SharedFile(payload) as file:
        return {name: tensor.clone() for name, tensor in read_shared(**file.description)}


def checksums(payload: WeightPayload) -> dict[str, str | None]:
    return {entry.name: entry.digest for entry in payload}


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


def test_unpack_undoes_pack_bit_for_bit() -> None:
    tensors = some_tensors()
    assert_same_bits(unpack(pack(tensors.items())), tensors)


def test_a_shared_file_gives_the_same_bits_and_leaves_nothing_behind() -> None:
    tensors = some_tensors()
    with SharedFile(pack(tensors.items())) as shared:
        assert all(entry["offset"] % ALIGNMENT == 0 for entry in shared.tensors)
        read = dict(read_shared(**shared.description))
    assert not Path(shared.path).exists()
    assert_same_bits(read, tensors)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(DTYPES), st.lists(st.integers(1, 4), max_size=3)), min_size=1))
def test_any_mix_of_types_and_shapes_survives(layout: list[tuple[torch.dtype, list[int]]]) -> None:
    tensors = {
        f"t{i}": (torch.arange(torch.Size(shape).numel()) % 2).to(dtype).reshape(shape)
        for i, (dtype, shape) in enumerate(layout)
    }
    payload = pack(tensors.items())
    with SharedFile(payload) as shared:
        read = dict(read_shared(**shared.description))
    assert_same_bits(read, tensors)
    assert_same_bits(unpack(payload), tensors)
    assert payload_bytes(payload) == sum(t.numel() * t.element_size() for t in tensors.values())


def test_a_flipped_bit_on_the_way_is_refused_by_name() -> None:
    with SharedFile(pack(some_tensors().items())) as shared:
        offset = shared.tensors[2]["offset"]
        with open(shared.path, "r+b") as file:
            file.seek(offset)
            byte = file.read(1)[0]
            file.seek(offset)
            file.write(bytes([byte ^ 1]))
        with pytest.raises(ChecksumMismatch, match="'brain'"):
            read_shared(**shared.description)


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


def test_checksums_before_and_after_packing_agree() -> None:
    tensors = some_tensors()
    assert checksums(pack(tensors.items())) == named_checksums(tensors.items())


@pytest.mark.parametrize(
    ("named", "complaint"),
    [
        ([], "0 tensors under 0 names"),
        ([("w", torch.ones(1)), ("w", torch.ones(1))], "2 tensors under 1 names"),
        ([("w", torch.ones(1)), ("hole", torch.ones(0))], "without elements, .'hole'"),
    ],
)
def test_weights_that_cannot_be_meant_are_refused(named: list[tuple[str, torch.Tensor]], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        pack(named)


def test_checksums_may_be_left_out(tmp_path: Path) -> None:
    tensors = some_tensors()
    payload = pack(tensors.items(), checksums=False)
    assert set(checksums(payload).values()) == {None}
    with SharedFile(payload) as shared:
        assert_same_bits(dict(read_shared(shared.path, shared.tensors)), tensors)
