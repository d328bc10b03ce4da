"The recorder: what it keeps, when it looks, and how it goes on after an interruption."
from types import SimpleNamespace

import numpy as np
import pytest
from small_examples import Model, rng

from adrec.checks import InputError
from adrec.data import synthetic_data
from adrec.recipes import Settings, one_stage
from adrec.recorder import CollapseRecorder, load_recording, run_recorder
from adrec.spectra import covariance_eigenvalues, mean_cosine, outlier_count
from adrec.training import train_stages

# ---- recording

def state(model, step, system="a", stage="train"): return SimpleNamespace(model=Model(model), step=step, system=system, stage=stage, epoch=0)


def recorded(recorder, *steps, system="a", seed=0):
    for step in steps: recorder.on_step(state(rng(seed + step).normal(size=(30, 5)), step, system))
    return recorder


def test_recorder_keeps_every_kth_step_and_the_boundaries():
    recorder = CollapseRecorder(every=3, sample=[2, 30])
    table = rng().normal(size=(30, 5))
    for system, ends in (("a", 7), ("b", 6)):
        recorder.on_stage(state(table, 0, system, "warm-up"))
        for step in range(1, ends + 1): recorder.on_step(state(table, step, system))
        recorder.on_stage(state(table, ends, system, "end"))
    film = recorder.recording
    assert film.steps.tolist() == [0, 3, 6, 7, 7, 9, 12, 13], "steps are counted through all systems"
    assert film.boundaries == [(0, "a", "warm-up"), (3, "a", "end"), (4, "b", "warm-up"), (7, "b", "end")]
    assert np.allclose(film.eigenvalues, covariance_eigenvalues(table)) and (film.n_items, film.d) == (30, 5)
    assert np.allclose(film.vectors, table[[1, 29]], rtol=1e-3) and film.vectors.shape == (8, 2, 5)
    assert film.scores["mean_cosine"] == pytest.approx(mean_cosine(table))
    assert film.scores["outlier_count"] == pytest.approx(outlier_count(table))


def test_recording_survives_its_file(tmp_path):
    recorder = CollapseRecorder(every=1, sample=4)
    recorder.on_stage(state(rng().normal(size=(30, 5)), 0))
    film = recorded(recorder, 1, 2).recording
    again = load_recording(recorder.save(tmp_path/"spectra.npz"))
    assert again.boundaries == film.boundaries and (again.n_items, again.d) == (30, 5)
    for name in ("steps", "eigenvalues", "vectors", "sample_items"): assert np.allclose(getattr(again, name), getattr(film, name), rtol=1e-6)
    assert again.scores.keys() == film.scores.keys() and list(tmp_path.iterdir()) == [tmp_path/"spectra.npz"]


def test_a_long_training_is_recorded_less_often_and_boundaries_stay():
    recorder, table = CollapseRecorder(every=1, sample=2, most=10), rng().normal(size=(30, 5))
    for system, ends in (("a", 97), ("b", 61)):
        recorder.on_stage(state(table, 0, system, "warm-up"))
        for step in range(1, ends + 1):
            recorder.on_step(state(table, step, system))
            assert len(recorder.rows) <= 10
        recorder.on_stage(state(table, ends, system, "end"))
    film = recorder.recording
    assert [(film.steps[i], *rest) for i, *rest in film.boundaries] == [(0, "a", "warm-up"), (97, "a", "end"), (97, "b", "warm-up"),
                                                                       (158, "b", "end")]
    inner = np.setdiff1d(film.steps, [97, 158])
    assert np.ptp(np.diff(inner)) == 0 and len(film.vectors) == len(film.steps) == len(film.scores["mean_cosine"]) <= 11


def test_a_run_records_itself_in_the_first_process_only(tmp_path, monkeypatch):
    recorder, = run_recorder(tmp_path, 30)
    assert recorder.path == tmp_path/"spectra.npz" and recorder.sample == 30
    monkeypatch.setenv("RANK", "1"); monkeypatch.setenv("WORLD_SIZE", "2")
    assert run_recorder(tmp_path, 30) == []


def test_an_interrupted_recording_goes_on(tmp_path):
    whole = CollapseRecorder(every=2)
    recorded(whole, *range(1, 11))
    path = tmp_path/"spectra.npz"
    first = CollapseRecorder(every=2, path=path)
    first.on_stage(state(rng().normal(size=(30, 5)), 0))
    recorded(first, *range(1, 8)).save(path)
    again = CollapseRecorder(every=2, path=path)
    recorded(again, *range(5, 11))  # the checkpoint was of step 4
    assert again.recording.steps.tolist() == [0, *whole.recording.steps.tolist()]
    assert np.allclose(again.recording.eigenvalues[1:], whole.recording.eigenvalues, rtol=1e-6)
    assert again.recording.boundaries == [(0, "a", "train")]


def test_recorder_survives_a_table_that_is_not_finite():
    recorder = CollapseRecorder(every=1)
    recorder.on_step(state(np.full((6, 3), np.nan), 1))
    assert np.isnan(recorder.recording.eigenvalues).all() and all(np.isnan(x).all() for x in recorder.recording.scores.values())
    recorder.on_step(state(np.full((6, 3), 0.0), 2))
    assert (recorder.recording.eigenvalues[1] == 0).all()


def test_recorder_bad_input(tmp_path):
    with pytest.raises(InputError, match="every"): CollapseRecorder(every=0)
    with pytest.raises(InputError, match="nothing was recorded"): _ = CollapseRecorder().recording
    for sample in ([0], [31], 31, 0, []):
        with pytest.raises(InputError, match="sample"): recorded(CollapseRecorder(1, sample=sample), 1)
    with pytest.raises(InputError, match="no such recording"): load_recording(tmp_path/"none.npz")
    (tmp_path/"text.npz").write_text("spectra")
    np.savez(tmp_path/"other.npz", x=np.ones(3))
    np.savez(tmp_path/"pickled.npz", steps=np.array([{}], dtype=object))
    for name in ("text", "other", "pickled"):
        with pytest.raises(InputError, match=f"{name}.npz is not a recording"): load_recording(tmp_path/f"{name}.npz")


def test_recorder_in_a_training():
    data, _ = synthetic_data(users=60, items=24, clusters=3)
    recorder = CollapseRecorder(every=2, sample=3)
    model, _ = train_stages(data, one_stage("sasrec", 3), Settings(users_per_update=20), {"dim": 8}, callbacks=[recorder], device="cpu", progress=False)
    film = recorder.recording
    assert film.steps[0] == 0 and (np.diff(film.steps) >= 0).all() and [b[2] for b in film.boundaries] == ["train", "end"]
    assert np.allclose(film.eigenvalues[-1], covariance_eigenvalues(model), rtol=1e-5)
    assert np.allclose(film.vectors[-1], model.item_embeddings().detach()[film.sample_items - 1], atol=1e-6)
