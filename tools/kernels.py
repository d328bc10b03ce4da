"""Kernels that start at once: forks of one process that has imported the heavy libraries, instead of a new Python for each page.

They are Jupyter's own kernels (ipykernel), started in another way; what a page does in one leaves no trace in the next.
Only on Linux is it safe to fork after such imports: `KERNELS` is what a `NotebookClient` needs there, and empty elsewhere.
"""
import os
import sys
from multiprocessing import get_context

from jupyter_client import AsyncKernelManager
from jupyter_client.provisioning import LocalProvisioner

HEAVY = ["kernels", "nbclient", "nbdev.clean", "ipykernel.kernelapp", "torch._dynamo", "pandas", "scipy.stats", "sklearn.neighbors", "matplotlib.pyplot"]
KERNELS = {}


def serve(
    connection_file:str,  # names the ports
    folder:str,           # to work in
    env:dict,             # the environment
):
    "Be a kernel, until it is told to shut down."
    from ipykernel.kernelapp import IPKernelApp
    os.setsid()  # a signal to its group reaches the kernel and what it started, and nobody else
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    IPKernelApp.launch_instance(["-f", connection_file, "--matplotlib=inline", "--HistoryManager.enabled=False", "--log-level=ERROR",
                                 f"--IPKernelApp.parent_handle={os.getppid()}"])  # without its parent it ends


if sys.platform == "linux":
    CONTEXT = get_context("forkserver")
    CONTEXT.set_forkserver_preload(HEAVY)

    class Fork(CONTEXT.Process):
        "A process that also answers to the names of `subprocess.Popen` that jupyter_client uses."
        stdin = stdout = stderr = None
        def poll(self): return self.exitcode
        def wait(self): return self.join() or self.exitcode
        def send_signal(self, number): os.kill(self.pid, number)

    class ForkProvisioner(LocalProvisioner):
        "Starts a kernel as a fork."
        async def launch_kernel(self, cmd, cwd=None, env=None, **_):
            self.process = Fork(target=serve, args=(self.parent.connection_file, cwd or os.getcwd(), {**os.environ, **(env or {})}))
            self.process.start()
            self.pid = self.process.pid
            return self.connection_info

    class ForkManager(AsyncKernelManager):
        "Looks after a kernel that is a fork."
        def __init__(self, **options):
            super().__init__(**options)
            self.provisioner = ForkProvisioner(parent=self, kernel_spec=self.kernel_spec)

    KERNELS["kernel_manager_class"] = ForkManager
