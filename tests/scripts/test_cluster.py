import os
import subprocess
from pathlib import Path

from tests.scenario import ROOT


def test_stopping_a_cluster_ends_and_removes_nothing_that_is_not_its_own(tmp_path: Path) -> None:
    data, stranger = tmp_path / "data.log", subprocess.Popen(["/bin/sleep", "60"])
    spark = subprocess.Popen(["/org.apache.spark.deploy.worker.Worker", "60"], executable="/bin/sleep")
    try:
        data.touch()
        (tmp_path / "master.pid").write_text(f"{stranger.pid}\n")  # as after a reboot
        (tmp_path / "worker1.pid").write_text(f"{spark.pid}\n")
        (tmp_path / "worker1.log").touch()
        command = [str(ROOT / "scripts" / "cluster"), "stop"]
        subprocess.run(command, env=os.environ | {"LAKEFORMER_CLUSTER": str(tmp_path)}, check=True)
        assert spark.wait(10) != 0
        assert stranger.poll() is None
        assert list(tmp_path.iterdir()) == [data]
    finally:
        stranger.kill()
        spark.kill()
