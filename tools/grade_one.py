"""Marks one submission in a course of its own: `tools/grade.py` starts this as a process that it can end.

    python tools/grade_one.py COURSE SET STUDENT SECONDS

nbgrader does the work. What it does not do is going on where a kernel hangs for good, dies, or floods us with output.
"""
import copy
import json
import sys
import time
from pathlib import Path

from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat.v4 import new_output
from nbgrader.converters import Autograde
from nbgrader.preprocessors import Execute

from assignments import convert

MOST = 200_000  # characters of output that one cell may leave


class Patient(Execute):
    "Runs a notebook as nbgrader does. A kernel that hangs or dies is replaced, and the next cell gets its turn."
    seconds = 300.0  # for the whole notebook
    notes: list[str] = []

    def preprocess(self, nb, resources, km=None):
        self.end, self.lost, self.shutdown_kernel = time.monotonic() + self.seconds, set(), "immediate"
        return super().preprocess(nb, resources, km)

    def preprocess_cell(self, cell, resources, index):
        if cell.cell_type != "code":
            return cell, resources
        self.printed, self.flooded = 0, False
        left = self.end - time.monotonic()
        if left < 1:
            self.fail(cell, index, "TimeoutError", "the notebook as a whole took too long: this cell was not run")
            return cell, resources
        self.timeout = max(1, min(self.limit, int(left)))
        try:
            cell, resources = super().preprocess_cell(cell, resources, index)
            if any(out.get("ename") == "CellTimeoutError" for out in cell.outputs):
                self.note(index, f"did not end within {self.timeout} s")
        except (CellTimeoutError, DeadKernelError) as error:
            hung = isinstance(error, CellTimeoutError)
            what = f"did not end within {self.timeout} s, nor when interrupted" if hung else "ended its own kernel"
            self.fail(cell, index, type(error).__name__, f"this cell {what}")
            self.restart(resources, index)
        return cell, resources

    @property
    def limit(self) -> int:
        "Seconds for one cell."
        return self.config.ExecutePreprocessor.get("timeout", 30)

    def note(self, index, text):
        "Something that the teacher should know."
        name = self.nb.cells[index].metadata.get("nbgrader", {}).get("grade_id", index + 1)
        self.notes.append(f"cell {name} {text}")

    def fail(self, cell, index, name, text):
        "Marks a cell as failed, and not to be run again."
        cell.outputs = [*cell.get("outputs", []), new_output("error", ename=name, evalue=text, traceback=[f"{name}: {text}"])]
        self.lost.add(index)
        self.note(index, text.removeprefix("this cell "))

    def restart(self, resources, until):
        "A new kernel, in which the cells before `until` are run again, except tests and those that were lost."
        self._cleanup_kernel()
        self.create_kernel_manager()
        self.start_new_kernel()
        self.start_new_kernel_client()
        for index, cell in enumerate(self.nb.cells[:until]):
            if cell.cell_type == "code" and index not in self.lost and not cell.metadata.get("nbgrader", {}).get("grade"):
                try:
                    self.execute_cell(copy.deepcopy(cell), index, store_history=True)
                except (CellTimeoutError, DeadKernelError):
                    self.lost.add(index)
                    return self.restart(resources, until)
                finally:
                    self.nb.cells[index] = cell

    def process_message(self, msg, cell, cell_index):
        "Leaves out what a cell prints or shows beyond `MOST` characters; errors and results are cut, since they decide."
        kind, content = msg["msg_type"], msg["content"]
        if kind == "stream" or kind in ("display_data", "execute_result"):
            self.printed += len(content.get("text", "")) + sum(len(str(value)) for value in content.get("data", {}).values())
            if self.printed > MOST * (50 if kind == "display_data" else 1):  # figures are large
                if not self.flooded:
                    self.note(cell_index, "printed megabytes, which were not kept")
                self.flooded = True
                if kind != "execute_result":
                    return None
                content["data"] = {"text/plain": content["data"].get("text/plain", "")[:1000]}
        elif kind == "error":
            content["evalue"] = content["evalue"][:2000]
            content["traceback"] = [line[:5000] for line in content["traceback"][-50:]]
        return super().process_message(msg, cell, cell_index)


def main(course, name, student, seconds):
    Patient.seconds = float(seconds)
    steps = Autograde.class_traits()["autograde_preprocessors"].default()
    steps = [Patient if step is Execute else step for step in steps]
    try:
        convert(Path(course), "Autograde", name, student, autograde_preprocessors=steps)
        done = {"ok": True, "log": ""}
    except RuntimeError as error:
        done = {"ok": False, "log": str(error)}
    Path(course, "done.json").write_text(json.dumps(done | {"notes": Patient.notes}))


if __name__ == "__main__":
    main(*sys.argv[1:])
