import pytest

from loralab.hardware import Device, default_profile, precisions, resolve

GIB = 2**30


@pytest.mark.parametrize(
    ("device", "expected", "profile"),
    [
        (Device("cpu", "CPU", 24 * GIB), "fp32", "cpu"),
        (Device("cuda", "Tesla P100", 16 * GIB, (6, 0)), "fp32", "t4"),
        (Device("cuda", "Tesla V100", 16 * GIB, (7, 0)), "fp16", "t4"),
        (Device("cuda", "Tesla T4", 15 * GIB, (7, 5)), "fp16", "t4"),
        (Device("cuda", "A100", 40 * GIB, (8, 0)), "bf16", "t4"),
        (Device("cuda", "L4", 22 * GIB, (8, 9)), "bf16", "t4"),
        (Device("cuda", "H100", 80 * GIB, (9, 0)), "bf16", "t4"),
    ],
    ids=lambda value: value.name if isinstance(value, Device) else value,
)
def test_precision_and_profile_by_device(device, expected, profile, smoke):
    assert precisions(device)[-1] == expected
    assert default_profile(device) == profile
    assert resolve(smoke.experiment("lora", precision="auto"), device).precision == expected
    assert resolve(smoke.experiment("lora", precision="fp32"), device).precision == "fp32"


@pytest.mark.parametrize(
    ("device", "asked", "possible"),
    [
        (Device("cpu", "CPU", 24 * GIB), "fp16", "fp32"),
        (Device("cpu", "CPU", 24 * GIB), "bf16", "fp32"),
        (Device("cuda", "Tesla T4", 15 * GIB, (7, 5)), "bf16", "fp32, fp16"),
    ],
    ids=["cpu-fp16", "cpu-bf16", "t4-bf16"],
)
def test_a_precision_that_the_device_lacks_is_refused(device, asked, possible, smoke):
    with pytest.raises(ValueError, match=rf"'{asked} \({device.name}\)'. Choose one of: {possible}\."):
        resolve(smoke.experiment("lora", precision=asked), device)
