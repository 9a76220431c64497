import platform

import pytest

from models.training.device import device

CPUINFO = """processor\t: 0
model name\t: Some Processor 9000
flags\t\t: fpu sse avx avx2 avx512f avx512_vnni

processor\t: 1
model name\t: Some Processor 9000
flags\t\t: fpu sse avx avx2 avx512f avx512_vnni
"""


def test_a_processor_is_named_with_the_widest_instructions_by_which_products_are_chosen(tmp_path):
    path = tmp_path / "cpuinfo"
    path.write_text(CPUINFO)
    assert device(path) == "Some Processor 9000 avx512f"
    path.write_text(CPUINFO.replace("avx512", "none"))
    assert device(path) == "Some Processor 9000 avx2"
    path.write_text("processor\t: 0\nmodel name\t: Old One\nflags\t\t: fpu sse\n")
    assert device(path) == "Old One"


@pytest.mark.parametrize(("processor", "told"), [("Old One", "Old One"), ("", "riscv64")])
def test_where_no_file_tells_of_processors_python_does(tmp_path, monkeypatch, processor, told):
    monkeypatch.setattr(platform, "processor", lambda: processor)
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert device(tmp_path / "none") == told
