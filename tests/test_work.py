import json

import pytest
import work

# A training of two epochs: 10 rows in batches of 4, 5 rows for validation and 20 for the test, of 100 tokens each.
LORA = {
    "task": "generation", "method": "lora", "epochs": 2, "train_size": 10, "validation_size": 5, "test_size": 20,
    "batch_size": 4, "max_length": 100, "max_new_tokens": 80, "examined": True,
}  # fmt: skip


def test_counts_worked_by_hand():
    trained, judged, written = 2 * 10 * 100, (2 * 5 + 20) * 100, 20 * 80
    counted = work.count([LORA])
    assert counted == {
        "runs": 1, "steps": 2 * 3, "trained": 2, "judged": 3, "written": 2,
        "operations": round(2 * 494_032_768 * (2 * trained + judged + written) / 1e12),
    }  # fmt: skip
    unexamined = LORA | {"task": "classification", "method": "full", "examined": False}
    assert work.count([unexamined]) == {
        "runs": 1, "steps": 6, "trained": 2, "judged": 1, "written": 0,
        "operations": round(2 * 42_527_232 * (3 * trained + 10 * 100) / 1e12),
    }  # fmt: skip
    base, majority = LORA | {"method": "base"}, LORA | {"method": "majority"}
    assert work.count([base, majority]) == {
        "runs": 0, "steps": 0, "trained": 0, "judged": 2, "written": 2,
        "operations": round(2 * 494_032_768 * 3600 / 1e12),
    }  # fmt: skip


@pytest.mark.slow
def test_the_published_counts_are_this_codes(tmp_path):
    work.main(tmp_path / "work.json")
    published = (work.ROOT / "data" / "work.json").read_text("utf-8")
    assert json.loads((tmp_path / "work.json").read_text("utf-8")) == json.loads(published)
