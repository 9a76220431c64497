import subprocess
from pathlib import Path

from tests.scenario import ROOT


def test_three_mistakes_in_a_conf_are_named_and_end_spark_submit_with_2(tmp_path: Path) -> None:
    conf = tmp_path / "shop.yaml"
    conf.write_text(
        f"warehouse: {tmp_path}/w\n"
        "source: {events: {path: x.csv, columns: {user_id: u, item_id: i, event_time: t}}}\n"
        "model: {dim: 100, heads: 3}\nscoring: {topk: 3}\ntraining: {epochs: none}\n"
    )
    command = [str(ROOT / "scripts" / "submit"), "--master", "local[1]", str(ROOT / "jobs" / "clean_events.py")]
    ended = subprocess.run([*command, "--config", str(conf)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 2, ended.stdout
    for mistake in (
        "model: dim must be a multiple of heads. Received dim=100, heads=3.",
        "scoring.topk: Extra inputs are not permitted. Received 3.",
        "training.epochs: Input should be a valid integer",
    ):
        assert f"{conf}: {mistake}" in ended.stdout  # where spark-submit puts all that Python writes
    assert not (tmp_path / "w").exists()
