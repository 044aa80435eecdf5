import pytest

from loralab.lessons.start import profile_name
from loralab.profiles import load_profile
from loralab.train.hardware import Device, precisions, resolve
from loralab.train.run import run

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
def test_precision_and_profile_by_device(device, expected, profile, smoke, monkeypatch):
    assert precisions(device)[-1] == expected
    monkeypatch.delenv("LORALAB_PROFILE", raising=False)
    monkeypatch.setattr("loralab.lessons.start.detect", lambda: device)
    assert profile_name() == profile
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


CPU, T4, A100 = (
    Device("cpu", "CPU", 24 * GIB),
    Device("cuda", "Tesla T4", 15 * GIB, (7, 5)),
    Device("cuda", "A100", 40 * GIB, (8, 0)),
)


@pytest.fixture(scope="module")
def gemma():
    return load_profile("large").generation.experiment("lora", weights="fp32")


@pytest.mark.parametrize(("device", "precision"), [(CPU, "fp32"), (T4, "fp32"), (A100, "bf16")], ids=str)
def test_gemma_is_never_given_fp16(gemma, device, precision):
    assert resolve(gemma.but(precision="auto"), device).precision == precision


@pytest.mark.parametrize("device", [T4, A100], ids=["t4", "a100"])
def test_gemma_in_fp16_is_refused_and_told_what_else(gemma, device):
    with pytest.raises(ValueError, match=r'gemma-3-4b overflows in .*fp16.*"fp32".*"nf4".*"bf16"'):
        resolve(gemma.but(precision="fp16"), device)


def test_a_method_that_reads_no_model_is_not_refused(gemma):
    assert resolve(gemma.but(method="retrieval", precision="fp16"), T4).precision == "fp16"


def test_four_bits_need_a_gpu(gemma):
    with pytest.raises(ValueError, match=r"QLoRA.*CUDA GPU.*bitsandbytes.*this is CPU"):
        resolve(gemma.but(weights="nf4", precision="auto"), CPU)


def test_nothing_is_fetched_for_what_cannot_run(gemma, monkeypatch, results):
    monkeypatch.setattr("loralab.train.hardware.detect", lambda: CPU)
    fetched = []
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *a, **k: fetched.append(a))
    with pytest.raises(ValueError, match="QLoRA"):
        run(gemma.but(weights="nf4"))
    assert not fetched and not results.exists()


@pytest.mark.parametrize(("installed", "refused"), [(None, True), ("there", False)])
def test_four_bits_on_a_gpu_need_bitsandbytes(gemma, monkeypatch, installed, refused):
    monkeypatch.setattr("loralab.train.hardware.find_spec", lambda name: installed)
    experiment = gemma.but(weights="nf4", precision="auto")
    if refused:
        with pytest.raises(ValueError, match="pip install bitsandbytes"):
            resolve(experiment, T4)
    else:
        assert resolve(experiment, T4).precision == "fp32"


@pytest.mark.parametrize("device", [CPU, T4], ids=["cpu", "t4"])
def test_weights_in_bf16_need_units_for_it(gemma, device):
    with pytest.raises(ValueError, match=rf"bf16.*capability 8.0 or more, and this is {device.name}.*nf4"):
        resolve(gemma.but(weights="bf16", precision="auto"), device)
    assert resolve(gemma.but(weights="bf16", precision="auto"), A100).precision == "bf16"


def test_the_large_profile_is_for_a_large_gpu():
    track = load_profile("large").generation
    for experiment in (*track.comparison(), *track.rank_comparison()):
        assert resolve(experiment, A100).precision == ("bf16" if experiment.precision == "auto" else "fp32")


def test_gemma_on_a_t4(monkeypatch):
    monkeypatch.setattr("loralab.train.hardware.find_spec", lambda name: "there")
    experiment = resolve(load_profile("large").generation.variant("t4"), T4)
    assert (experiment.weights, experiment.precision) == ("nf4", "fp32")
    with pytest.raises(ValueError, match="bf16"):
        resolve(load_profile("large").generation.experiment("lora"), T4)
