"Training inside somebody else's program, on somebody else's machine: no trace but the result, and no surprise from the environment."
import errno
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from small_examples import EVERY, OPTIONS
from torch.utils._python_dispatch import TorchDispatchMode

from adrec import devices, process_number, systems, training
from adrec.checks import InputError, write_atomically
from adrec.devices import find_device, is_main_process, own_random_numbers
from adrec.ranking import evaluate
from adrec.recipes import Stage, check_recipe, check_seed, one_stage, stage_groups, three_stages
from adrec.runs import continue_run, load_run, start_run
from adrec.systems import build_system, set_items
from adrec.training import Settings, Training, read_checkpoint, train_stages

@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    "A finished run folder."
    out = tmp_path_factory.mktemp("callers")/"run"
    start_run(out, data, three_stages(2, warm_up=1), EVERY, OPTIONS)
    return continue_run(out, data, device="cpu", progress=False).folder.path


# ---- the caller's state

def state():
    "All that a caller may rely on."
    return (torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), np.random.get_state()[2], random.getstate(), torch.get_num_threads(),
            torch.get_default_dtype(), torch.get_default_device(), torch.is_grad_enabled(), torch.are_deterministic_algorithms_enabled(),
            dict(os.environ))

class Stop(Exception):
    "Ends a training in the middle."
    def on_step(self, training): raise self

def stopped(data):
    with pytest.raises(Stop): train_stages(data, one_stage("adrec", 2), EVERY, OPTIONS, callbacks=[Stop()], device="cpu", progress=False)

DEEDS = {
    "train": lambda data, run: train_stages(data, three_stages(2, warm_up=1), EVERY, OPTIONS, 5, device="cpu", progress=False),
    "train with PCGrad in bfloat16": lambda data, run: train_stages(data, one_stage("adrec", 1), replace(EVERY, pcgrad=True), OPTIONS, device="cpu",
                                                             precision="bf16", progress=False),
    "a training that fails": lambda data, run: stopped(data),
    "fit": lambda data, run: Training(build_system("diffurec", 30, dim=8), data, EVERY, device="cpu").fit(one_stage("diffurec", 1), progress=False),
    "load_run": lambda data, run: load_run(run),
    "evaluate": lambda data, run: evaluate(load_run(run).model, data),
    "recommend": lambda data, run: load_run(run).recommend(["i1", "i2"], k=3),
    "build_system": lambda data, run: build_system("adrec", 30, dim=8),
    "a system that cannot be built": lambda data, run: pytest.raises(InputError, build_system, "adrec", 30, dim=7),
}

@pytest.mark.parametrize("name", DEEDS)
def test_nothing_of_the_callers_state_changes(name, data, run):
    torch.manual_seed(11); np.random.seed(12); random.seed(13)
    torch.rand(3)
    before = state()
    DEEDS[name](data, run)
    assert state() == before


def test_a_caller_without_gradients_can_train(data):
    with torch.no_grad():
        inside = train_stages(data, one_stage("sasrec", 1), EVERY, {"dim": 8}, device="cpu", progress=False)[0]
        assert not torch.is_grad_enabled()
    outside = train_stages(data, one_stage("sasrec", 1), EVERY, {"dim": 8}, device="cpu", progress=False)[0]
    assert torch.equal(inside.item_embedding.weight, outside.item_embedding.weight)


def test_the_callers_draws_go_on_through_three_trainings(data):
    drawn = []
    for _ in range(3):
        train_stages(data, one_stage("sasrec", 1), EVERY, {"dim": 8}, seed=0, device="cpu", progress=False)
        drawn.append(torch.rand(1).item())
    assert len(set(drawn)) == 3


def test_random_numbers_come_back_after_an_error():
    before = torch.get_rng_state()
    with pytest.raises(KeyboardInterrupt), own_random_numbers(seed=1):
        torch.rand(9)
        raise KeyboardInterrupt
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_the_callers_own_accelerator_still_works(precision, data):
    accelerate = pytest.importorskip("accelerate")
    accelerate.state.AcceleratorState._reset_state(reset_partial_state=True)  # of the test before
    theirs = accelerate.Accelerator(mixed_precision=precision, cpu=True)
    layer = theirs.prepare(torch.nn.Linear(4, 4))
    before = layer(torch.ones(2, 4)).tolist()
    train_stages(data, one_stage("sasrec", 1), EVERY, {"dim": 8}, device="cpu", precision="bf16" if precision == "no" else "no", progress=False)
    assert theirs.mixed_precision == precision and theirs.device.type == "cpu" and theirs.num_processes == 1
    assert layer(torch.ones(2, 4)).tolist() == before
    theirs.backward(layer(torch.ones(2, 4)).sum())
    assert accelerate.Accelerator(cpu=True).mixed_precision == precision, "their state is still the state"


# ---- what the environment says

def environment(monkeypatch, **variables):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"): monkeypatch.delenv(name, raising=False)
    for name, value in variables.items(): monkeypatch.setenv(name, value)


@pytest.mark.parametrize("variables", [dict(RANK="1"), dict(RANK=""), dict(WORLD_SIZE=""), dict(RANK="", WORLD_SIZE=""), dict(RANK=" 3 ", WORLD_SIZE="1"),
                                       dict(RANK="3", WORLD_SIZE="0"), dict(LOCAL_RANK="1")])
def test_what_schedulers_leave_behind_makes_no_helper(variables, monkeypatch, data):
    environment(monkeypatch, **variables)
    assert process_number() == (0, 1) and is_main_process()
    assert Training(build_system("sasrec", 30, dim=8), data, device="cpu").processes.count == 1


@pytest.mark.parametrize("variables, word", [(dict(WORLD_SIZE="2"), "RANK.*missing"), (dict(WORLD_SIZE="two"), "WORLD_SIZE.*'two'"), (dict(RANK="-1"), "RANK.*'-1'"),
                                             (dict(WORLD_SIZE="2", RANK="2"), "is 2"), (dict(WORLD_SIZE="2.0"), "WORLD_SIZE")])
def test_a_launcher_that_makes_no_sense_is_named(variables, word, monkeypatch, data):
    environment(monkeypatch, **variables)
    with pytest.raises(InputError, match=word): is_main_process()


def command(*words, **variables):
    "The command line in a process of its own."
    known = {k: v for k, v in os.environ.items() if k not in ("RANK", "WORLD_SIZE")}
    return subprocess.run([sys.executable, "-m", "adrec", *words], capture_output=True, text=True, env=known | variables)

@pytest.mark.parametrize("variables", [dict(RANK="1"), dict(RANK=""), dict(RANK="1", WORLD_SIZE=""), dict(WORLD_SIZE="x")])
def test_no_error_is_silent(variables):
    done = command("data", "nosuch.csv", **variables)
    assert done.returncode == 2 and "nosuch.csv" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("device, wanted", [("cpu", []), ("cuda", ["nccl"]), ("auto", ["nccl"])])
def test_the_connection_follows_the_device_that_was_asked_for(device, wanted, monkeypatch):
    "A machine with CUDA is pretended: what is PyTorch asked for?"
    environment(monkeypatch, RANK="1", WORLD_SIZE="2", LOCAL_RANK="1")
    asked, groups = [], []
    for name, fake in dict(is_initialized=lambda: False, init_process_group=lambda backend, timeout: asked.append((backend, timeout.total_seconds())),
                           get_backend=lambda: "gloo", new_group=lambda backend: groups.append(backend) or backend).items():
        monkeypatch.setattr(torch.distributed, name, fake)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available=False: torch.device("cuda"))
    monkeypatch.setattr(torch.accelerator, "set_device_index", lambda index: None)
    for remembered in (devices._meet_others, devices._connection): remembered.cache_clear()
    try: ours = devices.Processes(find_device(device))
    finally:
        for remembered in (devices._meet_others, devices._connection): remembered.cache_clear()
    assert asked == [("gloo", 86400)] and groups == wanted
    assert str(ours.device) == ("cpu" if device == "cpu" else "cuda:1")


# ---- a device without float64

class NoFloat64(TorchDispatchMode):
    "Every tensor is on a device that knows no float64, but for arrays of NumPy that become float32 at once."
    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        given = [a for a in (*args, *(kwargs or {}).values()) if isinstance(a, torch.Tensor)]
        result = function(*args, **(kwargs or {}))
        made = result if isinstance(result, (list, tuple)) else [result]
        double = lambda tensors: [t for t in tensors if isinstance(t, torch.Tensor) and t.dtype == torch.float64]
        if function is torch.ops.aten.lift_fresh.default: return result  # NumPy's array, on the CPU
        assert not double(made), f"{function} makes float64"
        assert not double(given) or function is torch.ops.aten._to_copy.default, f"{function} takes float64"
        return result


@pytest.mark.parametrize("system", list(systems.BUILT_IN))
def test_no_system_needs_float64_on_its_device(system, data, tmp_path):
    model = build_system(system, 30, dim=8)  # on the CPU; then it would move to the device
    with NoFloat64():
        done = Training(model, data, replace(EVERY, pcgrad=system == "adrec"), device="cpu")
        set_items(done.model, np.ones((30, 8)))  # NumPy's float64 stays outside
        done.fit(one_stage(system, 2), progress=False)
        done.load(done.save(tmp_path/"c.safetensors"))


# ---- values of the wrong kind

@pytest.mark.parametrize("name, value, said", [
    ("max_length", 2.5, "a whole number, not 2.5"), ("max_length", 50.0, "a whole number"), ("max_length", True, "a whole number, not True"), ("patience", "4", "not '4'"),
    ("users_per_update", None, "a whole number, not None"), ("cosine_epochs", 0, "above 0"), ("cosine_epochs", 1.5, "a whole number"),
    ("learning_rate", "fast", "a number, not 'fast'"), ("learning_rate", float("nan"), "above 0, not nan"), ("learning_rate", np.True_, "a number"),
    ("weight_decay", float("inf"), "0 or more"), ("prefixes", 1, "True or False, not 1"), ("pcgrad", "no", "True or False"), ("monitor", 20, "text, not 20"),
    ("monitor", ["NDCG@20"], "text"), ("validate_every", np.float64(5), "a whole number"), ("length_groups", [6] * 99, "a whole number")])
def test_settings_of_the_wrong_kind_are_named(name, value, said):
    with pytest.raises(InputError, match=f"{name} must be .*{said}") as e: Settings(**{name: value})
    assert len(str(e.value)) < 130


def test_numpy_values_become_plain_ones():
    given = Settings(max_length=np.int64(20), learning_rate=np.float32(0.5), pcgrad=np.True_, patience=np.uint8(3), weight_decay=0)
    assert given == Settings(max_length=20, learning_rate=0.5, pcgrad=True, patience=3, weight_decay=0)
    assert [type(v) for v in (given.max_length, given.learning_rate, given.pcgrad, given.weight_decay)] == [int, float, bool, float]
    assert type(three_stages(np.int32(9))[2].epochs) is int


@pytest.mark.parametrize("wrong", [lambda: Stage("a", "sasrec", 2.5), lambda: Stage("a", "sasrec", -1), lambda: Stage("a", "sasrec", True),
                                   lambda: three_stages("9"), lambda: one_stage("sasrec", None), lambda: three_stages(9.5)])
def test_epochs_of_the_wrong_kind(wrong):
    with pytest.raises(InputError, match="epochs must be"): wrong()


@pytest.mark.parametrize("seed", [-1, 2**32, 2**70, 1.0, True, "0", None, float("nan")])
def test_seeds_that_are_none(seed, data):
    with pytest.raises(InputError, match="seed.* a whole number") as e: train_stages(data, one_stage("sasrec", 1), EVERY, {"dim": 8}, seed=seed)
    assert "\n" not in str(e.value)


def test_a_seed_may_come_from_numpy(data):
    models = [train_stages(data, one_stage("sasrec", 1), EVERY, {"dim": 8}, seed=seed, device="cpu", progress=False)[0] for seed in (3, np.int64(3), np.uint8(3))]
    assert all(torch.equal(m.item_embedding.weight, models[0].item_embedding.weight) for m in models)
    assert check_seed(2**32 - 1) == 2**32 - 1


# ---- recipes

@pytest.mark.parametrize("name", ["pre-train", "pretrain", "stage one", "train"])
def test_a_table_at_hand_spares_the_first_system_whatever_its_stage_is_called(name, data):
    stages = [Stage(name, "stage1", 2), *three_stages(2, warm_up=1)[1:]]
    assert [g[0].system for g in stage_groups(stages, have_items=True)] == ["adrec"]
    history = train_stages(data, stages, EVERY, OPTIONS, pretrained=np.ones((30, 8)), device="cpu", progress=False)[1]
    assert {row["system"] for row in history} == {"adrec"}


def test_a_recipe_is_checked_without_building_anything_real(data, monkeypatch):
    kinds, build = [], systems.build_system
    def watched(*a, **k):
        model = build(*a, **k)
        kinds.append({p.device.type for p in model.parameters()})
        return model
    monkeypatch.setattr(systems, "build_system", watched)
    check_recipe(data, three_stages(), Settings(), pretrained=np.zeros((30, 128)))
    assert kinds == [{"meta"}, {"meta"}], "one of stage 1, one of ADRec"


def falling(monkeypatch):
    "Validation gets worse and worse from the second time on."
    values = iter(np.linspace(0.9, 0.1, 200))
    monkeypatch.setattr(training, "evaluate", lambda *a, **k: SimpleNamespace(metrics=dict.fromkeys((*training.SIX_METRICS, "MRR"), next(values))))


def test_fine_tuning_has_a_patience_of_its_own(data, monkeypatch, tmp_path):
    stages = (Stage("warm-up", "adrec", 10, freeze_items=True), Stage("fine-tune", "adrec", 10))
    def go(callbacks=(), load=None, save_checkpoint=None):
        torch.manual_seed(0)
        done = Training(build_system("adrec", 30, **OPTIONS), data, replace(EVERY, patience=2), "adrec", device="cpu")
        if load: done.load(load)
        return done.fit(stages, callbacks, False, save_checkpoint)
    falling(monkeypatch)
    whole = [(row["stage"], row["epoch"]) for row in go().history]
    assert whole == [("warm-up", 0), ("warm-up", 1), ("warm-up", 2), ("warm-up", 3), ("fine-tune", 10), ("fine-tune", 11)]
    for cut in (3, 10, 11):  # in the warm-up, at the very start of fine-tuning, within it
        falling(monkeypatch)
        saved = tmp_path/f"{cut}.safetensors"
        pull = SimpleNamespace(on_step=lambda t: (_ for _ in ()).throw(KeyboardInterrupt) if t.epoch == cut else None)
        with pytest.raises(KeyboardInterrupt): go([pull], save_checkpoint=lambda t: t.save(saved))
        assert [(row["stage"], row["epoch"]) for row in go(load=saved).history] == whole


def test_the_learning_rate_reaches_zero_with_the_last_epoch_and_not_before(data):
    assert Settings().learning_rate_at(400, epochs=60) == Settings(cosine_epochs=500).learning_rate_at(400)
    assert Settings().learning_rate_at(700, epochs=800) > 0 == Settings(cosine_epochs=500).learning_rate_at(700, epochs=800)
    seen = []
    class Watch(Stop):
        def on_step(self, training):
            seen.append(training.optimizer.param_groups[0]["lr"])
            raise self
    for epochs in (500, 2000):
        done = Training(build_system("sasrec", 30, dim=8), data, EVERY, device="cpu")
        done.epoch = 499
        with pytest.raises(Stop): done.fit(one_stage("sasrec", epochs), [Watch()], False)
    assert seen == [EVERY.learning_rate_at(499), EVERY.learning_rate_at(499, 2000)] and seen[1] > 100 * seen[0]


# ---- checkpoints

def test_a_checkpoint_that_was_read_is_free_of_its_file(data, tmp_path):
    path = Training(build_system("sasrec", 30, dim=8), data, EVERY, device="cpu").save(tmp_path/"c.safetensors")
    tensors, _ = read_checkpoint(path)
    before = {name: tensor.clone() for name, tensor in tensors.items()}
    with open(path, "r+b") as file: file.write(b"\xff" * path.stat().st_size)
    assert all(torch.equal(tensors[name], before[name]) for name in before)


@pytest.mark.parametrize("where", ["fsync", "replace", "open"])
def test_a_full_disk_is_named_and_the_checkpoint_before_it_lives(where, data, tmp_path, monkeypatch):
    done, path = Training(build_system("sasrec", 30, dim=8), data, EVERY, device="cpu"), tmp_path/"c.safetensors"
    def full(*a, **k): raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    def saving(message):
        with monkeypatch.context() as m, pytest.raises(OSError, match=message) as e:
            m.setattr(*(("builtins.open", full) if where == "open" else (os, where, full)))
            done.save(path)
        assert e.value.errno == errno.ENOSPC and e.value.filename == str(path)
    saving("no earlier checkpoint")
    assert not list(tmp_path.iterdir())
    done.save(path)
    done.step = 7
    saving("No space left on device; the checkpoint before it is intact, and --resume continues")
    assert [p.name for p in tmp_path.iterdir()] == ["c.safetensors"] and read_checkpoint(path)[1]["step"] == 0
    assert done.save(path) and read_checkpoint(path)[1]["step"] == 7


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError) as e: write_atomically(tmp_path/"nosuch"/"a.txt", "a")
    assert e.value.filename == str(tmp_path/"nosuch"/"a.txt")


# ---- the package

def test_importing_the_package_is_light_and_sets_how_long_threads_wait():
    code = "import os, sys, adrec; print(sorted({'torch', 'numpy', 'pandas', 'cyclopts'} & set(sys.modules)), os.environ['GOMP_SPINCOUNT'], os.environ['KMP_BLOCKTIME'])"
    clean = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "KMP_BLOCKTIME")}
    for given, spin in (({}, "1000"), ({"GOMP_SPINCOUNT": "77"}, "77")):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=clean | given)
        assert done.stdout.split() == ["[]", spin, "1"], done.stderr


# ---- SIGTERM

@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends a process without asking it")
def test_sigterm_is_an_interruption_that_can_be_resumed(tmp_path):
    words = "train --data synthetic --model sasrec --epochs 2000 --patience 1000 --dim 8 --device cpu --no-progress --out"
    begun = subprocess.Popen([sys.executable, "-m", "adrec", *words.split(), str(tmp_path/"run")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 120
        while not (tmp_path/"run/checkpoint.safetensors").exists() and begun.poll() is None and time.monotonic() < deadline: time.sleep(0.05)
        begun.send_signal(signal.SIGTERM)
        said = begun.communicate(timeout=60)
    finally: begun.kill()
    assert begun.returncode == 143, said
    assert said[1].splitlines()[-1] == f"adrec: interrupted; to continue:  adrec train --resume --out {tmp_path/'run'}" and "Traceback" not in said[1]
    epoch = read_checkpoint(tmp_path/"run/checkpoint.safetensors")[1]["epoch"]
    assert epoch > 5 and not list((tmp_path/"run").glob(".*"))


def test_the_handler_of_signals_is_the_callers_again(tmp_path):
    from adrec.cli import _guarded as guarded
    mine = lambda number, frame: None
    before = signal.signal(signal.SIGTERM, mine)
    try:
        with guarded(str(tmp_path), fresh=False): assert signal.getsignal(signal.SIGTERM) is not mine
        assert signal.getsignal(signal.SIGTERM) is mine
        with pytest.raises(SystemExit) as e, guarded(str(tmp_path), fresh=False): signal.raise_signal(signal.SIGTERM)
        assert e.value.code == 143 and signal.getsignal(signal.SIGTERM) is mine
        with pytest.raises(SystemExit) as e, guarded(str(tmp_path), fresh=False): raise KeyboardInterrupt
        assert e.value.code == 130
        with ThreadPoolExecutor(1) as pool:  # signals belong to the main thread: elsewhere nothing is set, and nothing fails
            def elsewhere():
                with guarded(str(tmp_path), fresh=False): return signal.getsignal(signal.SIGTERM)
            assert pool.submit(elsewhere).result() is mine
    finally: signal.signal(signal.SIGTERM, before)


def test_the_library_sets_no_handlers(data):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    seen = []
    watch = SimpleNamespace(on_step=lambda t: seen.append([signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]))
    train_stages(data, one_stage("sasrec", 1), EVERY, {"dim": 8}, callbacks=[watch], device="cpu", progress=False)
    assert seen and all(s == before for s in seen)


def test_a_full_disk_tells_how_to_go_on(tmp_path, capsys):
    from adrec.cli import _guarded as guarded
    (tmp_path/"history.jsonl").write_text("")
    with pytest.raises(OSError), guarded(str(tmp_path), fresh=True): raise OSError(errno.ENOSPC, "No space left on device", "c")
    assert f"to continue:  adrec train --resume --out {tmp_path}" in capsys.readouterr().err and tmp_path.exists()
