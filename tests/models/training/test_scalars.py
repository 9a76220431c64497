import tensorflow as tf
from tensorflow.core.util.event_pb2 import Event

from models.training.scalars import Scalars


def _events(folder):
    files = sorted(str(path) for path in folder.iterdir())
    return [Event.FromString(record.numpy()) for record in tf.data.TFRecordDataset(files)]


def test_points_are_on_disk_once_they_are_written_and_in_a_file_a_process(tmp_path):
    first = Scalars(tmp_path / "run")
    assert not (tmp_path / "run").exists()
    first.write(10, {"loss": 2.5, "valid_ndcg@10": 0.25})
    Scalars(tmp_path / "run").write(20, {"loss": 1.5})
    events = _events(tmp_path / "run")
    assert [e.file_version for e in events] == ["brain.Event:2", "", "brain.Event:2", ""]
    points = [(e.step, v.tag, v.simple_value) for e in events for v in e.summary.value]
    assert points == [(10, "loss", 2.5), (10, "valid_ndcg@10", 0.25), (20, "loss", 1.5)]
    assert len(list((tmp_path / "run").iterdir())) == 2
